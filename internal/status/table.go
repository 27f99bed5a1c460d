// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Print writes the status as tables for people; wide adds identities, loads of
// shards and problems in full.
func (s Status) Print(w io.Writer, wide bool, now time.Time) error {
	fmt.Fprintf(w, "Group %s in namespace %s: %d members, %d shards\n\n", s.Group, s.Namespace, len(s.Members), len(s.Shards))
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	s.printMembers(t, wide)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing the members: %w", err)
	}
	for _, m := range s.Members {
		if m.Problem != "" {
			fmt.Fprintf(w, "Problem of %s: %s\n", m.Pod, m.Problem)
		}
		if m.Current() && len(m.Declines) > 0 {
			fmt.Fprintf(w, "Not taken by %s: %s\n", m.Pod, m.declines())
		}
	}
	fmt.Fprintln(w)
	s.printShards(t, wide, now)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing the shards: %w", err)
	}
	if wide {
		s.printWork(w, now)
	}
	if s.Fence != (Fence{}) {
		if _, err := fmt.Fprintf(w, "\nServer fence: %s\n", s.Fence); err != nil {
			return fmt.Errorf("printing the fence: %w", err)
		}
	}
	return nil
}

func (s Status) printMembers(w io.Writer, wide bool) {
	fmt.Fprint(w, "MEMBER\tSTATE\tREADY\tSHARDS\tLOAD\tREVISION\tRENEWED")
	if wide {
		fmt.Fprint(w, "\tIDENTITY")
	}
	fmt.Fprintln(w)
	for _, m := range s.Members {
		fmt.Fprintf(w, "%s\t%s\t%t\t%d\t%s\t%d\t%s",
			m.Pod, m.State, m.Ready, m.Shards, workers(m.Load), m.Revision, renewed(m.RenewedAgo))
		if wide {
			fmt.Fprintf(w, "\t%s", m.Identity)
		}
		fmt.Fprintln(w)
	}
}

// declines are the families that the member does not take, and why.
func (m Member) declines() string {
	var all []string
	for _, family := range slices.Sorted(maps.Keys(m.Declines)) {
		all = append(all, family+" ("+string(m.Declines[family])+")")
	}
	return some(all)
}

// workers is a load as a number of workers.
func workers(thousandths int64) string { return fmt.Sprintf("%.2f", float64(thousandths)/1000) }

func renewed(ago string) string {
	if ago == "" {
		return "never"
	}
	return ago + " ago"
}

// maxColumn keeps a row on a line; -o wide shows all.
const maxColumn = 60

// printShards has a column for what was done last if any shard tells.
func (s Status) printShards(w io.Writer, wide bool, now time.Time) {
	tells := slices.ContainsFunc(s.Shards, func(sh Shard) bool { return sh.Kind != "" })
	header := []string{"SHARD", "STATE", "HOLDER", "PIN", "EPOCH", "AGE"}
	if tells {
		header = append(header, "LAST")
	}
	header = append(header, "PROBLEM")
	if wide {
		header = append(header, "LOAD", "RESOURCE", "IDENTITY")
	}
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, sh := range s.Shards {
		row := []string{sh.Name, string(sh.State), orNone(PodOf(sh.Holder)), orNone(sh.Preferred), strconv.Itoa(int(sh.Epoch)), age(sh.Since, now)}
		if tells {
			row = append(row, orNone(fit(sh.last(now), wide)))
		}
		row = append(row, orNone(fit(sh.Problem, wide)))
		if wide {
			row = append(row, workers(sh.Load), cmp.Or(sh.Resource, sh.kind(), "-"), orNone(sh.Holder))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
}

// kind is that of a role, in a column that otherwise has types.
func (s Shard) kind() string {
	if s.Kind == "" {
		return ""
	}
	return "(" + s.Kind + ")"
}

// fit cuts a text for a column, unless there is room for all.
func fit(text string, wide bool) string {
	if runes := []rune(text); !wide && len(runes) > maxColumn {
		return string(runes[:maxColumn]) + "..."
	}
	return text
}

// printWork tells what is on record of the work of shards, below their table.
func (s Status) printWork(w io.Writer, now time.Time) {
	for _, sh := range s.Shards {
		if lines := sh.workDetails(now); len(lines) > 0 {
			fmt.Fprintf(w, "\n%s\n", strings.Join(lines, "\n"))
		}
	}
}

func age(since string, now time.Time) string {
	at, err := time.Parse(time.RFC3339, since)
	if err != nil {
		return "-"
	}
	return duration.HumanDuration(max(0, now.Sub(at)))
}

func orNone(s string) string { return cmp.Or(s, "-") }

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"fmt"
	"io"
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
	}
	fmt.Fprintln(w)
	s.printShards(t, wide, now)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing the shards: %w", err)
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

// workers is a load as a number of workers.
func workers(thousandths int64) string { return fmt.Sprintf("%.2f", float64(thousandths)/1000) }

func renewed(ago string) string {
	if ago == "" {
		return "never"
	}
	return ago + " ago"
}

// maxProblemColumn keeps a row on a line; -o wide shows all.
const maxProblemColumn = 60

func (s Status) printShards(w io.Writer, wide bool, now time.Time) {
	fmt.Fprint(w, "SHARD\tSTATE\tHOLDER\tPIN\tEPOCH\tAGE\tPROBLEM")
	if wide {
		fmt.Fprint(w, "\tLOAD\tRESOURCE\tIDENTITY")
	}
	fmt.Fprintln(w)
	for _, sh := range s.Shards {
		problem := sh.Problem
		if runes := []rune(problem); !wide && len(runes) > maxProblemColumn {
			problem = string(runes[:maxProblemColumn]) + "..."
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s",
			sh.Name, sh.State, orNone(PodOf(sh.Holder)), orNone(sh.Preferred), sh.Epoch, age(sh.Since, now), orNone(problem))
		if wide {
			fmt.Fprintf(w, "\t%s\t%s\t%s", workers(sh.Load), orNone(sh.Resource), orNone(sh.Holder))
		}
		fmt.Fprintln(w)
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

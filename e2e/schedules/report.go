// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// leastTicks is how many there have to be, or little is proved.
const leastTicks = 1000

// Report is what a run has shown.
type Report struct {
	Verdicts []Verdict // of each role
	Struck   []Struck  // what each strike has hit, in their order
}

// Struck is what a strike has hit.
type Struck struct {
	Strike Strike
	Hits   []Hit
}

// fates are what became of what was hit.
func (r Report) fates(s Struck) map[Fate]int {
	fates := map[Fate]int{}
	for _, hit := range s.Hits {
		for _, v := range r.Verdicts {
			if fate, ok := v.Fates[hit.Tick]; ok && v.Role.Name == hit.Role {
				fates[fate]++
			}
		}
	}
	return fates
}

// Ticks are those of all roles that were due.
func (r Report) Ticks() (n int) {
	for _, v := range r.Verdicts {
		n += v.Ticks
	}
	return n
}

// Err says what is wrong: what must not have happened, and what must have or else nothing is proved.
func (r Report) Err() error {
	var errs []error
	for _, v := range r.Verdicts {
		errs = append(errs, v.Wrong...)
	}
	if n := r.Ticks(); n < leastTicks {
		errs = append(errs, fmt.Errorf("there were %d ticks: want %d or more", n, leastTicks))
	}
	for _, s := range r.Struck {
		if want := s.Strike.Want; want != "" && r.fates(s)[want] == 0 {
			errs = append(errs, fmt.Errorf("%s (%s): of the %d ticks that were hit none is %s: nothing is proved", s.Strike.Name, s.Strike.Delivery, len(s.Hits), want))
		}
	}
	return errors.Join(errs...)
}

// allFates are in the order of the tables.
func allFates() []Fate { return []Fate{Finished, BrokenOff, Repeated, LateFirst, Lost, Open} }

// Print writes two tables: what became of the ticks of each role, and of those that were hit by each strike.
func (r Report) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "schedule\tticks\tskipped\tclaims\twithdrawn\tterms\tcalls")
	for _, f := range allFates() {
		fmt.Fprintf(table, "\t%s", f)
	}
	fmt.Fprintln(table)
	var sum Verdict
	sum.Role.Name = "all"
	fates := map[Fate]int{}
	row := func(v Verdict, count func(Fate) int) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d", v.Role.Name, v.Ticks, v.Skipped, v.Claims, v.Withdrawn, v.Terms, v.Starts)
		for _, f := range allFates() {
			fmt.Fprintf(table, "\t%d", count(f))
		}
		fmt.Fprintln(table)
	}
	for _, v := range r.Verdicts {
		row(v, v.Count)
		sum.Ticks, sum.Skipped, sum.Claims, sum.Withdrawn, sum.Terms, sum.Starts = sum.Ticks+v.Ticks, sum.Skipped+v.Skipped, sum.Claims+v.Claims, sum.Withdrawn+v.Withdrawn, sum.Terms+v.Terms, sum.Starts+v.Starts
		for _, f := range allFates() {
			fates[f] += v.Count(f)
		}
	}
	row(sum, func(f Fate) int { return fates[f] })
	fmt.Fprint(table, "\nstrike\tdelivery\thits")
	for _, f := range allFates() {
		fmt.Fprintf(table, "\t%s", f)
	}
	fmt.Fprintln(table)
	for _, s := range r.Struck {
		fmt.Fprintf(table, "%s\t%s\t%d", s.Strike.Name, s.Strike.Delivery, len(s.Hits))
		counts := r.fates(s)
		for _, f := range allFates() {
			fmt.Fprintf(table, "\t%d", counts[f])
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

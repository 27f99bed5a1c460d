// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/shardctl/shardctl/e2e/durations"
)

// Table is a row per kind of fault.
type Table []Row

// Print writes the table, and a last line with what it comes to. The control's rows count for none of it.
func (t Table) Print(out io.Writer) error {
	widest := 0 // of the names, which alone are aligned to the left
	for _, r := range t {
		widest = max(widest, len(r.Kind.Name))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%-*s\tRUNS\tTAKE-OVERS\tREFUSED LOCALLY\tREFUSED BY SERVER\tOVERLAPPING WRITES\tUNRECONCILED\tGAP P50\tGAP P99\tWRITES\tBY OWN WORD\t\n", widest, "FAULT")
	var runs, overlapping, unreconciled int
	for _, r := range t {
		fmt.Fprintf(w, "%-*s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%d\t%d\t\n", widest, r.Kind.Name, r.Runs, r.TakeOvers, r.RefusedLocally, r.RefusedByServer,
			r.Overlapping, r.Unreconciled, quantile(r.Gaps, 0.5), quantile(r.Gaps, 0.99), r.Writes, r.ByOwnWord)
		if !r.Kind.Control {
			runs, overlapping, unreconciled = runs+r.Runs, overlapping+r.Overlapping, unreconciled+r.Unreconciled
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "faults: %d runs, %d overlapping writes, %d unreconciled\n", runs, overlapping, unreconciled)
	return err
}

// Err says what is wrong with any row.
func (t Table) Err() error {
	var errs []error
	for _, r := range t {
		errs = append(errs, r.Err())
	}
	return errors.Join(errs...)
}

// quantile is for people; a dash if there is nothing to count.
func quantile(of []time.Duration, share float64) string {
	if len(of) == 0 {
		return "-"
	}
	return durations.Quantile(of, share).Round(10 * time.Millisecond).String()
}

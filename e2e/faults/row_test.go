// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"strings"
	"testing"
	"time"
)

// kindNamed is one that there is.
func kindNamed(t *testing.T, name string) Kind {
	t.Helper()
	kinds, err := Choose(name)
	if err != nil {
		t.Fatal(err)
	}
	return kinds[0]
}

func TestRowIsAnErrorIfItShowsWhatMustNotBeOrNothing(t *testing.T) {
	good := Row{Runs: 2, Writes: 100, TakeOvers: 4, RefusedLocally: 3, RefusedByServer: 1}
	for _, test := range []struct {
		name, kind string
		change     func(*Row)
		want       string // part of the error; none if empty
	}{
		{"all is well", "pause", func(*Row) {}, ""},
		{"no run", "kill", func(r *Row) { r.Runs = 0 }, "no run"},
		{"no write", "kill", func(r *Row) { r.Writes = 0 }, "no write of any replica"},
		{"no take-over", "cut", func(r *Row) { r.TakeOvers = 0 }, "no shard was taken over"},
		{"overlapping writes", "cut", func(r *Row) { r.Overlapping = 1 }, "1 overlapping"},
		{"unattributed writes", "apiserver-restart", func(r *Row) { r.Unattributed = 1 }, "1 writes are nobody's"},
		{"not settled", "cut", func(r *Row) { r.Unsettled = 1 }, "1 runs after which"},
		{"nothing refused locally", "pause", func(r *Row) { r.RefusedLocally = 0 }, "no write was refused locally"},
		{"nothing refused locally, where that may be", "delay", func(r *Row) { r.RefusedLocally = 0 }, ""},
		{"nothing refused by the API server", "pause-nofence", func(r *Row) { r.RefusedByServer = 0 }, "refused by the API server"},
		{"nothing refused by the API server, where that may be", "pause", func(r *Row) { r.RefusedByServer = 0 }, ""},
		{"the control overlaps", "control-pause", func(r *Row) { r.Overlapping = 9 }, ""},
		{"the control does not overlap", "control-pause", func(*Row) {}, "the oracle is blind"},
		{"the control does not settle", "control-pause", func(r *Row) { r.Overlapping, r.Unsettled = 9, 1 }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			row := good
			row.Kind = kindNamed(t, test.kind)
			test.change(&row)
			err := row.Err()
			if test.want == "" {
				if err != nil {
					t.Errorf("the row is an error: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestTableEndsWithASumWithoutTheControl(t *testing.T) {
	table := Table{
		{Kind: kindNamed(t, "kill"), Runs: 3, Gaps: []time.Duration{2 * time.Second}},
		{Kind: kindNamed(t, "cut"), Runs: 4, Overlapping: 1, Unreconciled: 2},
		{Kind: kindNamed(t, "control-pause"), Runs: 5, Overlapping: 100, Unreconciled: 7},
	}
	var out strings.Builder
	if err := table.Print(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if last, want := lines[len(lines)-1], "faults: 7 runs, 1 overlapping writes, 2 unreconciled"; last != want {
		t.Errorf("the last line is %q, want %q", last, want)
	}
	if len(lines) != len(table)+2 || !strings.Contains(lines[len(lines)-2], "control-pause") || !strings.Contains(lines[len(lines)-2], "100") {
		t.Errorf("the control's row is missing:\n%s", out.String())
	}
}

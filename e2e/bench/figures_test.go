// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestFiguresArePrintedAndKept(t *testing.T) {
	var out strings.Builder
	f := figures{out: &out}
	f.begin(part{name: "first"})
	f.add(figure{Name: "gap", Who: clientGo, Unit: "ms", Value: 1234.5678})
	f.begin(part{name: "second"})
	f.add(figure{Name: "overlaps"}.atMost(0))
	f.sample("gaps", session, "ms", []float64{1, 2})
	if want := "gap (client-go): 1230 ms\noverlaps: 0\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	if len(f.parts) != 2 || len(f.parts[0].Figures) != 1 || len(f.parts[0].Series) != 0 || len(f.parts[1].Figures) != 1 || len(f.parts[1].Series) != 1 {
		t.Errorf("kept %+v", f.parts)
	}
}

func TestQuickHasNoTargets(t *testing.T) {
	f := figures{out: &strings.Builder{}, quick: true}
	f.begin(part{name: "first"})
	f.add(figure{Name: "slow", Value: 3}.atMost(2))
	if kept := f.parts[0].Figures[0]; kept.missed() || kept.target.bound != "" {
		t.Errorf("the target is %v", kept.target)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 12345: "12345", 0.0012345: "0.00123", 1234.5: "1230", -1.5: "-1.5", 99.96: "100", 0.1 + 0.2: "0.3", 2e9: "2000000000",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) is %s, want %s", v, got, want)
		}
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"strings"
	"testing"
	"time"
)

func draw(k Kind, number int, o Options) time.Duration {
	return newRun(&group{kind: k}, number, o).lasts
}

func TestFaultsLastWithinTheLimitsOfTheirKind(t *testing.T) {
	for _, k := range Kinds() {
		var shortest, longest time.Duration
		for number := range 200 {
			lasts := draw(k, number, Options{Seed: 7, Longest: noLimit})
			if lasts < k.least || lasts > k.most {
				t.Fatalf("%s: run %d lasts %s, want %s to %s", k.Name, number, lasts, k.least, k.most)
			}
			if number == 0 || lasts < shortest {
				shortest = lasts
			}
			longest = max(longest, lasts)
		}
		if k.most > 0 && longest < 2*shortest {
			t.Errorf("%s: 200 runs last %s to %s: want more of a choice", k.Name, shortest, longest)
		}
	}
}

func TestFirstRunLastsLongEnoughToEndASession(t *testing.T) {
	for _, k := range Kinds() {
		for seed := range uint64(50) {
			lasts := draw(k, 0, Options{Seed: seed, Longest: time.Second})
			if k.most > 0 && lasts < surely {
				t.Errorf("%s: the first run with seed %d lasts %s, want %s or more", k.Name, seed, lasts, surely)
			}
		}
	}
}

func TestLongestLimitsWhatIsDrawn(t *testing.T) {
	k := kindNamed(t, "pause")
	for number := range 50 {
		if lasts := draw(k, number+1, Options{Longest: 3 * time.Second}); lasts > 3*time.Second {
			t.Errorf("run %d lasts %s, want 3 s at most", number+1, lasts)
		}
	}
}

func TestSameSeedIsTheSameChoice(t *testing.T) {
	k := kindNamed(t, "pause")
	same, other := 0, 0
	for number := range 20 {
		first := draw(k, number, Options{Seed: 3, Longest: noLimit})
		if first == draw(k, number, Options{Seed: 3, Longest: noLimit}) {
			same++
		}
		if first != draw(k, number, Options{Seed: 4, Longest: noLimit}) {
			other++
		}
	}
	if same != 20 || other < 15 {
		t.Errorf("of 20 runs %d are alike with the same seed, %d differ with another: want all and nearly all", same, other)
	}
}

func TestKindsAreChosenByName(t *testing.T) {
	chosen, err := Choose("cut", "kill")
	if err != nil || len(chosen) != 2 || chosen[0].Name != "kill" || chosen[1].Name != "cut" {
		t.Errorf("chosen are %v (%v), want kill and cut, in the order of the table", chosen, err)
	}
	if all, err := Choose(); err != nil || len(all) != len(Kinds()) {
		t.Errorf("%d kinds are chosen if none is named (%v), want all", len(all), err)
	}
	if _, err := Choose("flood"); err == nil || !strings.Contains(err.Error(), "pause-nofence") {
		t.Errorf("the error of a kind that there is not is %v, want one that names those that there are", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
		want    string
	}{
		{"no directory", Options{}, "dir: is missing"},
		{"runs", Options{Dir: "d", Runs: -1}, "runs: -1"},
		{"groups", Options{Dir: "d", Groups: 9}, "groups: 9"},
		{"side by side", Options{Dir: "d", SideBySide: 9}, "sideBySide: 9"},
		{"longest", Options{Dir: "d", Longest: -1}, "longest: -1ns"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := test.options.withDefaults(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want one with %q", err, test.want)
			}
		})
	}
	o, err := Options{Dir: "d"}.withDefaults()
	if err != nil || o.Runs != defaultRuns || o.Groups != defaultGroups || o.SideBySide != 1 || len(o.Kinds) != len(Kinds()) {
		t.Errorf("the defaults are %+v (%v)", o, err)
	}
}

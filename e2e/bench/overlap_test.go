// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Every contender is measured with enough shards and rounds, each time in a group whose name can be a namespace's.
func TestOverlapWaves(t *testing.T) {
	const enoughShards, enoughRounds = 50, 3
	shards, rounds, groups := map[overlapCase]int{}, map[overlapCase]int{}, map[string]bool{}
	for _, wave := range overlapWaves(false) {
		of := map[overlapCase]bool{}
		for _, p := range wave {
			if errs := validation.IsDNS1123Label(p.name); len(errs) > 0 || groups[p.name] {
				t.Errorf("group %s: there is one already, or %v", p.name, errs)
			}
			groups[p.name], of[p.overlapCase] = true, true
			shards[p.overlapCase] += p.shards
		}
		for c := range of {
			rounds[c]++
		}
	}
	for _, trouble := range troubles() {
		for _, who := range trouble.contenders() {
			c := overlapCase{trouble, who}
			if shards[c] < enoughShards || rounds[c] < enoughRounds {
				t.Errorf("%v: %d shards in %d rounds, want %d in %d", c, shards[c], rounds[c], enoughShards, enoughRounds)
			}
		}
	}
}

// In a hurry all contenders and both kinds of trouble are gone through at once.
func TestOverlapWavesInAHurry(t *testing.T) {
	waves := overlapWaves(true)
	if len(waves) != 1 {
		t.Fatalf("%d waves, want 1", len(waves))
	}
	contended, troubled := map[contender]bool{}, map[trouble]bool{}
	for _, p := range waves[0] {
		contended[p.who], troubled[p.trouble] = true, true
	}
	if len(contended) != len(slowStop.contenders()) || len(troubled) != len(troubles()) {
		t.Errorf("%v are measured with %v", contended, troubled)
	}
}

func TestFiguresOfOverlaps(t *testing.T) {
	tallies := []tally{
		{nobody: 4 * time.Second},
		{several: 2 * time.Second},
		{several: time.Second, nobody: time.Second},
		{several: 3 * time.Second},
	}
	for _, test := range []struct {
		who    contender
		all    []tally
		misses bool
	}{
		{session, tallies, true},
		{leaseMode, tallies, true},
		{clientGo, tallies, false},
		{session, tallies[:1], false},
	} {
		b := &bench{figures: figures{out: &strings.Builder{}}}
		b.begin(part{name: "overlap"})
		b.addOverlaps(overlapCase{slowStop, test.who}, overlapResult{test.all, 2})
		if err := verdict(b.parts); (err != nil) != test.misses {
			t.Errorf("%d shards of %s: the verdict is %v", len(test.all), test.who, err)
		}
		if len(test.all) < len(tallies) {
			continue
		}
		got := map[string]string{}
		for _, f := range b.parts[0].Figures {
			got[f.Name] = quantity(f.Value, f.Unit)
		}
		for name, want := range map[string]string{
			"slow_stop_overlaps": "3", "slow_stop_shards": "4", "slow_stop_holders": "2", "slow_stop_overlap_share": "75 %",
			"slow_stop_overlap_median": "2 s", "slow_stop_overlap_max": "3 s",
			"slow_stop_gap_median": "0 s", "slow_stop_gap_max": "4 s",
		} {
			if got[name] != want {
				t.Errorf("%s of %s is %q, want %q", name, test.who, got[name], want)
			}
		}
	}
}

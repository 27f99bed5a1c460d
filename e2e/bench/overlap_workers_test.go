// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"testing"
	"time"
)

func TestTallies(t *testing.T) {
	const a, b, c = "a", "b", "c"
	held := event{Shard: "1", Kind: started, At: at(0), replica: a}
	since := at(100)
	for name, test := range map[string]struct {
		events history
		want   tally
	}{
		"a hand-over with a gap": {history{
			held,
			{Shard: "1", Kind: stopped, At: at(110), replica: a},
			{Shard: "1", Kind: started, At: at(140), replica: b},
		}, tally{nobody: 30 * time.Millisecond}},
		"a hand-over without": {history{
			held,
			{Shard: "1", Kind: stopped, At: at(110), replica: a},
			{Shard: "1", Kind: started, At: at(110), replica: b},
		}, tally{}},
		"two at once": {history{
			held,
			{Shard: "1", Kind: started, At: at(110), replica: b},
			{Shard: "1", Kind: stopped, At: at(150), replica: a},
		}, tally{several: 40 * time.Millisecond}},
		"three at once count once": {history{
			held,
			{Shard: "1", Kind: started, At: at(110), replica: b},
			{Shard: "1", Kind: started, At: at(120), replica: c},
			{Shard: "1", Kind: stopped, At: at(130), replica: a},
			{Shard: "1", Kind: stopped, At: at(150), replica: b},
		}, tally{several: 40 * time.Millisecond}},
		"two at once, and then nobody": {history{
			held,
			{Shard: "1", Kind: started, At: at(110), replica: b},
			{Shard: "1", Kind: stopped, At: at(115), replica: b},
			{Shard: "1", Kind: stopped, At: at(120), replica: a},
			{Shard: "1", Kind: started, At: at(127), replica: c},
		}, tally{nobody: 7 * time.Millisecond, several: 5 * time.Millisecond}},
		"the end of a process ends its work": {history{
			held,
			{Kind: killed, At: at(110), replica: a},
			{Shard: "1", Kind: started, At: at(112), replica: b},
		}, tally{nobody: 2 * time.Millisecond}},
		"what was before does not count": {history{
			held,
			{Shard: "1", Kind: started, At: at(10), replica: b},
			{Shard: "1", Kind: stopped, At: at(20), replica: a},
			{Shard: "1", Kind: stopped, At: at(30), replica: b},
			{Shard: "1", Kind: started, At: at(103), replica: c},
		}, tally{nobody: 3 * time.Millisecond}},
		"what only stands by does not work": {history{
			held,
			{Shard: "1", Kind: watching, At: at(110), replica: b},
			{Shard: "1", Kind: stopped, At: at(120), replica: a},
			{Shard: "1", Kind: started, At: at(121), replica: b},
		}, tally{nobody: time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.events.sorted().tallies(since)
			if want := map[string]tally{"1": test.want}; !maps.Equal(got, want) {
				t.Errorf("tallies are %v, want %v", got, want)
			}
		})
	}
}

// Shards have nothing to do with each other, but for the end of the process that both are worked for by.
func TestTalliesOfSeveralShards(t *testing.T) {
	h := history{
		{Shard: "1", Kind: started, At: at(0), replica: "a"},
		{Shard: "2", Kind: started, At: at(0), replica: "a"},
		{Shard: "1", Kind: started, At: at(110), replica: "b"},
		{Kind: killed, At: at(115), replica: "a"},
		{Shard: "2", Kind: started, At: at(130), replica: "b"},
	}
	want := map[string]tally{"1": {several: 5 * time.Millisecond}, "2": {nobody: 15 * time.Millisecond}}
	if got := h.tallies(at(100)); !maps.Equal(got, want) {
		t.Errorf("tallies are %v, want %v", got, want)
	}
}

func TestMissingSuccessor(t *testing.T) {
	both := history{
		{Shard: "1", Kind: started, At: at(0), replica: "a"},
		{Shard: "2", Kind: started, At: at(0), replica: "a"},
		{Shard: "1", Kind: started, At: at(1), replica: "b"},
		{Shard: "1", Kind: stopped, At: at(2), replica: "a"},
	}
	second := event{Shard: "2", Kind: started, At: at(3), replica: "c"}
	ended := event{Shard: "2", Kind: stopped, At: at(4), replica: "a"}
	for _, test := range []struct {
		name    string
		history history
		missing string
	}{
		{"nothing happened", nil, "a works for 0 still, others for 0 of 2"},
		{"the holder goes on", both, "a works for 1 still, others for 1 of 2"},
		{"the holder goes on beside another", append(both[:4:4], second), "a works for 1 still, others for 1 of 2"},
		{"nobody succeeds", append(both[:4:4], ended), "a works for 0 still, others for 1 of 2"},
		{"all is handed over", append(both[:4:4], second, ended), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err, got := workersAfter(test.history).missingSuccessor(2, "a"), ""
			if err != nil {
				got = err.Error()
			}
			if got != test.missing {
				t.Errorf("missing: %q, want %q", got, test.missing)
			}
		})
	}
}

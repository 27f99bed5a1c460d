// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

func TestMoves(t *testing.T) {
	h := history{
		{Shard: "1", Kind: started, At: at(1), replica: "a"},
		{Shard: "2", Kind: started, At: at(2), replica: "a"},
		{Shard: "1", Kind: started, At: at(3), replica: "b"}, // before it counts
		{Shard: "2", Kind: stopped, At: at(11), replica: "a"},
		{Shard: "2", Kind: started, At: at(12), replica: "b"},
		{Shard: "1", Kind: stopped, At: at(13), replica: "b"},
		{Shard: "1", Kind: started, At: at(14), replica: "b"}, // it comes back
		{Shard: "2", Kind: started, At: at(15), replica: "c"},
		{Shard: "3", Kind: started, At: at(16), replica: "c"}, // the first
	}
	if got := h.moves(at(10)); got != 2 {
		t.Errorf("%d moves, want 2", got)
	}
}

func TestChanged(t *testing.T) {
	h := history{
		{Shard: "1", Kind: started, At: at(5), replica: "a"},
		{Shard: "1", Kind: watching, At: at(9), replica: "b"},
	}
	for since, want := range map[int]int{1: 5, 7: 7} {
		if got := h.changed(at(since)); !got.Equal(at(want)) {
			t.Errorf("since %v: changed at %v, want %v", at(since), got.Sub(time.Unix(0, 0)), at(want))
		}
	}
}

func TestFirstToEnd(t *testing.T) {
	for _, test := range []struct {
		name string
		pods []oldPod
		want int
	}{
		{"one", []oldPod{{}}, 0},
		{"the youngest of equals", []oldPod{{}, {}, {}}, 2},
		{"the one that was restarted", []oldPod{{}, {restarted: true}, {}}, 1},
		{"the one that costs least", []oldPod{{cost: -1}, {restarted: true}, {}}, 0},
		{"the youngest of those that cost least", []oldPod{{cost: -1}, {cost: -1}, {restarted: true}}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := firstToEnd(test.pods); got != test.want {
				t.Errorf("%d is first, want %d", got, test.want)
			}
		})
	}
}

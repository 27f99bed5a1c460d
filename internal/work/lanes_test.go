// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"slices"
	"testing"
)

// drained takes all keys.
func drained(l *Lanes[string]) []string {
	var all []string
	for l.Len() > 0 {
		all = append(all, l.Pop())
	}
	return all
}

func TestLanesServeLiveKeysFirst(t *testing.T) {
	for _, tc := range []struct {
		name string
		add  func(*Lanes[string])
		want []string
	}{
		{"in order", func(l *Lanes[string]) { l.Push("a"); l.Push("b") }, []string{"a", "b"}},
		{"before the backlog", func(l *Lanes[string]) {
			l.Fill("old")
			l.Push("old")
			l.Filled()
			l.Push("live")
		}, []string{"live", "old"}},
		{"a key that something happens to leaves the backlog", func(l *Lanes[string]) {
			for _, key := range []string{"old-1", "old-2"} {
				l.Fill(key)
				l.Push(key)
			}
			l.Filled()
			l.Touch("old-2")
			l.Touch("old-2")
		}, []string{"old-2", "old-1"}},
		{"the filling itself is nothing that happens to a key", func(l *Lanes[string]) {
			l.Fill("old")
			l.Push("old")
			l.Touch("old")
			l.Filled()
			l.Push("live")
		}, []string{"live", "old"}},
		{"a live key stays what it is", func(l *Lanes[string]) {
			l.Push("a")
			l.Fill("a")
			l.Touch("a")
			l.Filled()
			l.Push("b")
		}, []string{"a", "b"}},
		{"what is added while another key fills the backlog is live", func(l *Lanes[string]) {
			l.Fill("old")
			l.Push("live")
			l.Push("old")
			l.Filled()
		}, []string{"live", "old"}},
		{"the key that has no name is one like others", func(l *Lanes[string]) {
			l.Push("")
			l.Fill("old")
			l.Push("old")
			l.Filled()
		}, []string{"", "old"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l Lanes[string]
			tc.add(&l)
			if got := drained(&l); !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestLanesGiveTheBacklogItsShare(t *testing.T) {
	var l Lanes[int]
	for key := range 3 {
		l.Fill(-key - 1)
		l.Push(-key - 1)
	}
	l.Filled()
	for key := range 4 * BacklogShare {
		l.Push(key)
	}
	var at []int
	for i := 1; l.Len() > 0; i++ {
		if l.Pop() < 0 {
			at = append(at, i)
		}
	}
	if want := []int{BacklogShare, 2 * BacklogShare, 3 * BacklogShare}; !slices.Equal(at, want) {
		t.Errorf("the backlog was served at %v, want %v", at, want)
	}
}

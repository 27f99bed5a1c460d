// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import "time"

// agenda is what is going to happen, in order of true time; what is due at the
// same time happens in the order in which it was entered. It is a binary heap of
// values: container/heap would allocate for every entry, and there are millions.
type agenda struct {
	entries []entry
	entered uint64
}

type entry struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (e *entry) before(other *entry) bool {
	return e.at < other.at || e.at == other.at && e.seq < other.seq
}

func (a *agenda) add(at time.Duration, do func()) {
	a.entered++
	a.entries = append(a.entries, entry{at: at, seq: a.entered, do: do})
	for child := len(a.entries) - 1; child > 0; {
		parent := (child - 1) / 2
		if !a.entries[child].before(&a.entries[parent]) {
			return
		}
		a.entries[child], a.entries[parent] = a.entries[parent], a.entries[child]
		child = parent
	}
}

// next takes what happens next off the agenda, if that is no later than end.
func (a *agenda) next(end time.Duration) (e entry, ok bool) {
	if len(a.entries) == 0 || a.entries[0].at > end {
		return entry{}, false
	}
	e = a.entries[0]
	last := len(a.entries) - 1
	a.entries[0] = a.entries[last]
	a.entries[last] = entry{} // let go of what it does
	a.entries = a.entries[:last]
	a.sink()
	return e, true
}

// sink moves the first entry down to its place.
func (a *agenda) sink() {
	for parent := 0; ; {
		first := parent
		for child := 2*parent + 1; child <= 2*parent+2 && child < len(a.entries); child++ {
			if a.entries[child].before(&a.entries[first]) {
				first = child
			}
		}
		if first == parent {
			return
		}
		a.entries[parent], a.entries[first] = a.entries[first], a.entries[parent]
		parent = first
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"container/heap"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// modelClock is the clock of one machine: it starts anywhere and runs at a rate
// of its own, in thousandths of true time.
type modelClock struct {
	offset Instant
	rate   int64
}

// horizon is further than any history goes.
const horizon = 240 * time.Hour

// at reads the clock at a true time.
func (c modelClock) at(now time.Duration) Instant {
	return c.offset + Instant(int64(now)*c.rate/1000)
}

// when is the earliest true time at which the clock shows at least i.
func (c modelClock) when(i Instant) time.Duration {
	local := min(i.Sub(c.offset), horizon)
	return time.Duration((int64(local)*1000 + c.rate - 1) / c.rate)
}

// span is a range of durations, drawn from evenly.
type span struct{ least, most time.Duration }

func (s span) draw(rng *rand.Rand) time.Duration {
	if s.most <= s.least {
		return s.least
	}
	return s.least + time.Duration(rng.Int64N(int64(s.most-s.least)))
}

// agenda is what is going to happen, in order of true time; what is due at the
// same time happens in the order in which it was entered.
type agenda struct {
	entries []agendaEntry
	entered uint64
}

type agendaEntry struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (a *agenda) add(at time.Duration, do func()) {
	a.entered++
	heap.Push(a, agendaEntry{at: at, seq: a.entered, do: do})
}

// next takes what happens next off the agenda.
func (a *agenda) next() agendaEntry { return heap.Pop(a).(agendaEntry) }

func (a *agenda) Len() int { return len(a.entries) }

func (a *agenda) Less(i, j int) bool {
	x, y := a.entries[i], a.entries[j]
	return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.seq, y.seq)) < 0
}

func (a *agenda) Swap(i, j int) { a.entries[i], a.entries[j] = a.entries[j], a.entries[i] }

func (a *agenda) Push(x any) { a.entries = append(a.entries, x.(agendaEntry)) }

func (a *agenda) Pop() any {
	last := a.entries[len(a.entries)-1]
	a.entries = a.entries[:len(a.entries)-1]
	return last
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

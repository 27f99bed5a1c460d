// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Minimal is a history that violates the same as another, with as few of its
// faults as were needed.
type Minimal struct {
	Seed      uint64
	Violation *Violation
	// Strikes are the faults that are left, of as many as struck.
	Strikes []Strike
	Of      int

	omitted omissions
	build   func(omissions) *History
}

// Minimize makes the history of a seed, which is known to violate something, as
// short as it gets until ctx is done: the objects and whole kinds of faults are
// left out first, then ever smaller groups of single ones, as long as the same kind of violation
// remains (delta debugging: Zeller, Hildebrandt 2002). Nil if the seed violates
// nothing.
func Minimize(ctx context.Context, seed uint64) *Minimal {
	m := minimize(ctx, func(o omissions) *History { return newHistory(seed, o) })
	if m != nil {
		m.Seed = seed
	}
	return m
}

func minimize(ctx context.Context, build func(omissions) *History) *Minimal {
	m := &Minimal{build: build, omitted: omissions{strikes: map[[2]uint32]bool{}}}
	m.Violation, m.Strikes = m.attempt(m.omitted)
	if m.Violation == nil {
		return nil
	}
	m.Of = len(m.Strikes)
	if ctx.Err() == nil {
		idle := m.omitted
		idle.objects = true
		m.try(idle, m.Of)
	}
	for kind := range kinds {
		if ctx.Err() != nil {
			return m
		}
		if slices.ContainsFunc(m.Strikes, func(s Strike) bool { return s.Kind == kind }) {
			without := m.omitted
			without.kinds[kind] = true
			m.try(without, len(m.Strikes)-1)
		}
	}
	for size := (len(m.Strikes) + 1) / 2; size > 0; size /= 2 {
		m.dropGroups(ctx, size)
	}
	return m
}

// dropGroups leaves out one group of so many faults after the other, the latest
// first: what happened before them stays as it was.
func (m *Minimal) dropGroups(ctx context.Context, size int) {
	for end := len(m.Strikes); end > 0 && ctx.Err() == nil; {
		begin := max(0, end-size)
		without := m.omitted
		without.strikes = map[[2]uint32]bool{}
		for name := range m.omitted.strikes {
			without.strikes[name] = true
		}
		for _, s := range m.Strikes[begin:end] {
			without.strikes[s.name()] = true
		}
		m.try(without, len(m.Strikes)-1)
		end = min(begin, len(m.Strikes))
	}
}

// try leaves faults out for good if the same kind of violation remains with so
// many faults at most: without one, others may come to strike.
func (m *Minimal) try(without omissions, most int) {
	v, struck := m.attempt(without)
	if v != nil && v.Kind == m.Violation.Kind && len(struck) <= most {
		m.omitted, m.Violation, m.Strikes = without, v, struck
	}
}

func (m *Minimal) attempt(o omissions) (*Violation, []Strike) {
	h := m.build(o)
	return h.Run(), h.World.struck
}

// Print writes the faults that are left, and the end of the story.
func (m *Minimal) Print(out io.Writer) error {
	fmt.Fprintf(out, "minimised: %s\n%d of %d faults are left:\n", m.Violation, len(m.Strikes), m.Of)
	for i, s := range m.Strikes {
		fmt.Fprintf(out, "%4d. at %.3f s: %s\n", i+1, s.At.Seconds(), s.Kind)
	}
	story := &Story{Last: lastLines}
	h := m.build(m.omitted)
	h.Log(story, false)
	h.Run()
	_, err := story.WriteTo(out)
	return err
}

// lastLines of a story are shown of a minimised history: what comes before them
// is in the transcript of the seed.
const lastLines = 100

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

	objects bool
	build   func(*Selection) *History
}

// Minimize makes the history of a seed, which is known to violate something, as
// short as it gets until ctx is done: the objects and whole kinds of faults are
// left out first, then ever smaller groups of single ones, as long as the same
// kind of violation remains, and all of it again until nothing more can be left
// out (delta debugging: Zeller, Hildebrandt 2002). Nil if the seed violates
// nothing.
func Minimize(ctx context.Context, seed uint64) *Minimal {
	m := minimize(ctx, func(only *Selection) *History { return newHistory(seed, only) })
	if m != nil {
		m.Seed = seed
	}
	return m
}

func minimize(ctx context.Context, build func(*Selection) *History) *Minimal {
	h := build(nil)
	m := &Minimal{build: build, Violation: h.Run(), Strikes: h.World.struck, objects: h.user != nil}
	if m.Violation == nil {
		return nil
	}
	m.Of = len(m.Strikes)
	// What could not be left out before may be once other faults are gone.
	for ctx.Err() == nil && m.shrink(ctx) {
	}
	return m
}

// shrink leaves out what it can, and tells whether it was anything.
func (m *Minimal) shrink(ctx context.Context) bool {
	objects, left := m.objects, len(m.Strikes)
	if m.objects {
		m.try(selectStrikes(false, m.Strikes))
	}
	for kind := range kinds {
		m.dropKind(ctx, kind)
	}
	for size := (len(m.Strikes) + 1) / 2; size > 0; size /= 2 {
		m.dropGroups(ctx, size)
	}
	return m.objects != objects || len(m.Strikes) < left
}

// dropKind leaves out all faults of a kind.
func (m *Minimal) dropKind(ctx context.Context, kind Kind) {
	rest := slices.DeleteFunc(slices.Clone(m.Strikes), func(s Strike) bool { return s.Kind == kind })
	if ctx.Err() == nil && len(rest) < len(m.Strikes) {
		m.try(selectStrikes(m.objects, rest))
	}
}

// dropGroups leaves out one group of so many faults after the other, the latest
// first: what happened before them stays as it was.
func (m *Minimal) dropGroups(ctx context.Context, size int) {
	for end := len(m.Strikes); end > 0 && ctx.Err() == nil; {
		begin := max(0, end-size)
		m.try(selectStrikes(m.objects, slices.Concat(m.Strikes[:begin], m.Strikes[end:])))
		end = min(begin, len(m.Strikes))
	}
}

// try keeps only these for good if the same kind of violation remains. Fewer of
// them may strike.
func (m *Minimal) try(only *Selection) {
	h := m.build(only)
	if v := h.Run(); v != nil && v.Kind == m.Violation.Kind {
		m.Violation, m.Strikes, m.objects = v, h.World.struck, only.Objects
	}
}

// Only is what is left: [NewHistoryOf] it is the minimal history.
func (m *Minimal) Only() *Selection { return selectStrikes(m.objects, m.Strikes) }

// Print writes the faults that are left, how to see them again, and the story.
func (m *Minimal) Print(out io.Writer) error {
	fmt.Fprintf(out, "minimised: %s\n%s\n%d of %d faults are left:\n",
		m.Violation, Command(m.Seed, m.Only()), len(m.Strikes), m.Of)
	for i, s := range m.Strikes {
		fmt.Fprintf(out, "%4d. at %.3f s: %s\n", i+1, s.At.Seconds(), s.Kind)
	}
	_, err := m.build(m.Only()).Tell(out)
	return err
}

// Command is how to see the history of a seed, or what is kept of it, again.
func Command(seed uint64, only *Selection) string {
	if only == nil {
		return fmt.Sprintf("make sim SEED=%d", seed)
	}
	return fmt.Sprintf("make sim SEED=%d SIMFLAGS='-only %s'", seed, only)
}

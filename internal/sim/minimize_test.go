// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

// wrongly makes a history one in which it is wrong to take over, which it is not.
func wrongly(seed uint64) func(*Selection) *History {
	return func(only *Selection) *History {
		h := newHistory(seed, only)
		h.World.Recorded = func(r *Replica, _ lease.Instant, _ []lease.Event, effects []lease.Effect) {
			for _, effect := range effects {
				if g, ok := effect.(lease.Granted); ok && g.Term.How == lease.CauseTakeOver {
					h.World.violatef(r, "wrong", "%s was taken over", g.Term.Shard)
				}
			}
		}
		return h
	}
}

func TestMinimizeLeavesOutWhatIsNotNeeded(t *testing.T) {
	shrunk := 0
	for seed := uint64(1); shrunk < 5; seed++ {
		build := wrongly(seed)
		m := minimize(context.Background(), build)
		if m == nil || m.Of < 20 {
			continue
		}
		shrunk++
		if m.Violation.Kind != "wrong" {
			t.Fatalf("seed %d: shows %s, which is another violation", seed, m.Violation)
		}
		if len(m.Strikes) > m.Of/2 {
			t.Errorf("seed %d: %d of %d faults are left, want at most half of them", seed, len(m.Strikes), m.Of)
		}
		for i, s := range m.Strikes {
			rest := slices.Delete(slices.Clone(m.Strikes), i, i+1)
			if v := build(selectStrikes(m.objects, rest)).Run(); v != nil && v.Kind == "wrong" {
				t.Errorf("seed %d: %q at %s is not needed", seed, s.Kind, s.At)
			}
		}
		if m.objects {
			if v := build(selectStrikes(false, m.Strikes)).Run(); v != nil && v.Kind == "wrong" {
				t.Errorf("seed %d: the objects are not needed", seed)
			}
		}
	}
}

// What is printed is all that is needed to see it again.
func TestMinimalHistoryIsToldAgain(t *testing.T) {
	for seed := uint64(1); ; seed++ {
		build := wrongly(seed)
		m := minimize(context.Background(), build)
		if m == nil {
			continue
		}
		only, err := ParseSelection(m.Only().String())
		if err != nil {
			t.Fatal(err)
		}
		var printed, again strings.Builder
		if err := m.Print(&printed); err != nil {
			t.Fatal(err)
		}
		v, err := build(&only).Tell(&again)
		if err != nil {
			t.Fatal(err)
		}
		if v == nil || *v != *m.Violation {
			t.Errorf("seed %d, only %s: got %v, want %s", seed, m.Only(), v, m.Violation)
		}
		if again.Len() == 0 || !strings.HasSuffix(printed.String(), again.String()) {
			t.Errorf("printed:\n%s\ntold again:\n%s", &printed, &again)
		}
		return
	}
}

func TestMinimizeKeepsWhatViolatesNothing(t *testing.T) {
	if m := Minimize(context.Background(), 1); m != nil {
		t.Errorf("got %s from a history that violates nothing", m.Violation)
	}
}

func TestMinimizeEndsInTime(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for seed := uint64(1); ; seed++ {
		m := minimize(ctx, wrongly(seed))
		if m == nil {
			continue
		}
		if len(m.Strikes) != m.Of {
			t.Errorf("%d of %d faults are left, although there was no time", len(m.Strikes), m.Of)
		}
		return
	}
}

func TestMinimalHistoryIsPrinted(t *testing.T) {
	for seed := uint64(1); ; seed++ {
		m := minimize(context.Background(), wrongly(seed))
		if m == nil {
			continue
		}
		var out strings.Builder
		if err := m.Print(&out); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"minimised: at ", "SIMFLAGS='-only ", "faults are left", "starts as", "VIOLATION: wrong: "} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%q is not in:\n%s", part, &out)
			}
		}
		return
	}
}

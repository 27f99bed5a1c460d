// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"strings"
	"testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

// wrongly makes a history one in which it is wrong to take over, which it is not.
func wrongly(seed uint64) func(omissions) *History {
	return func(o omissions) *History {
		h := newHistory(seed, o)
		h.World.Recorded = func(r *Replica, _ lease.Instant, _ lease.Event, effects []lease.Effect) {
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
		for _, s := range m.Strikes {
			one := m.omitted
			one.strikes = map[[2]uint32]bool{s.name(): true}
			for name := range m.omitted.strikes {
				one.strikes[name] = true
			}
			h := build(one)
			if v := h.Run(); v != nil && v.Kind == "wrong" && len(h.World.struck) < len(m.Strikes) {
				t.Errorf("seed %d: %q at %s is not needed", seed, s.Kind, s.At)
			}
		}
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
		for _, part := range []string{"minimised: at ", "faults are left", "starts as", "VIOLATION: wrong: "} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%q is not in:\n%s", part, &out)
			}
		}
		return
	}
}

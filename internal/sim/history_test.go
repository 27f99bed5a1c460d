// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/shardctl/shardctl/internal/sim"
)

// TestHistories runs a few random histories; `make sim` runs many.
func TestHistories(t *testing.T) {
	n := uint64(400)
	if testing.Short() {
		n = 100
	}
	var next atomic.Uint64
	var mu sync.Mutex
	var total sim.Summary
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1); seed <= n && !t.Failed(); seed = next.Add(1) {
				h := sim.NewHistory(seed)
				if violation := h.Run(); violation != nil {
					t.Errorf("seed %d: %s\nreplay it with: make sim SEED=%d", seed, violation, seed)
				}
				mu.Lock()
				total.Add(h)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if missing := total.Missing(); !t.Failed() && !testing.Short() && len(missing) > 0 {
		t.Errorf("the histories prove nothing, for none has met: %q", missing)
	}
}

// TestSameSeedSameHistory: a seed is all that is needed to see a history again.
func TestSameSeedSameHistory(t *testing.T) {
	for seed := range uint64(10) {
		var first, second lines
		for _, transcript := range []*lines{&first, &second} {
			h := sim.NewHistory(seed)
			h.Log(transcript, true)
			h.Run()
		}
		for i := range first {
			if i >= len(second) || first[i] != second[i] {
				t.Fatalf("seed %d: line %d differs: %q", seed, i, first[i])
			}
		}
	}
}

// lines are those of a transcript.
type lines []string

func (l *lines) Write(p []byte) (int, error) {
	*l = append(*l, string(p))
	return len(p), nil
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/shardctl/shardctl/pkg/lease"
)

// TestMain checks that nothing outlives the tests; synctest checks the same of
// every group by itself.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGroupGoesOnWithATermForAsLongAsItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		terms := make(chan *Term, 10)
		a := c.start("a", func(ctx context.Context, _ Key) error {
			term, _ := TermFrom(ctx)
			terms <- term
			return nil
		})
		c.eventually(firstStart, "it works", func() bool { return c.reconciles("a", "widgets/w") == 1 })
		term := <-terms
		for range 100 {
			time.Sleep(lease.Fast.LeaseDuration / 10)
			if left := term.Remaining(); left <= 0 || left > lease.Fast.RenewDeadline {
				t.Fatalf("the term is valid for another %s, want more than none and %s at most", left, lease.Fast.RenewDeadline)
			}
		}
		if n := c.reconciles("a", "widgets/w"); n != 1 {
			t.Errorf("the object was reconciled %d times, want once for its only term", n)
		}
		c.stop(a)
		if term.Valid() {
			t.Error("the term is valid after the replica has left")
		}
	})
}

// partition keeps one replica from the Leases while it is on.
func (c *cluster) partition(replica string) *atomic.Bool {
	var on atomic.Bool
	c.fault = func(ctx context.Context, from string) error {
		if from != replica || !on.Load() {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
	return &on
}

func TestGroupAnotherTakesOverFromOneThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(gadgets, "g"))
		cut := c.partition("a")
		var mu sync.Mutex
		var causes []error
		a := c.start("a", func(ctx context.Context, _ Key) error {
			if !cut.Load() {
				<-ctx.Done()
				mu.Lock()
				causes = append(causes, context.Cause(ctx))
				mu.Unlock()
			}
			return ctx.Err()
		})
		c.eventually(firstStart, "the first works", func() bool { return len(c.working()) == 2 })
		b := c.start("b", quick)
		c.eventually(firstStart, "each holds one", func() bool { return len(a.holds()) == 1 && len(b.holds()) == 1 })
		mu.Lock()
		causes = nil // of the one that was handed over
		mu.Unlock()
		cut.Store(true)
		began := time.Now()
		c.eventually(lease.Fast.LeaseDuration+time.Second, "the other holds both", func() bool { return len(b.holds()) == 2 })
		if took := time.Since(began); took < lease.Fast.LeaseDuration-lease.Fast.RenewInterval {
			t.Errorf("the other took over after %s, before the first could be over", took)
		}
		mu.Lock()
		if len(causes) != 1 || !errors.Is(causes[0], ErrTermOver) {
			t.Errorf("the work of the first ended for %v, want ErrTermOver", causes)
		}
		mu.Unlock()
		c.eventually(time.Second, "the other has reconciled both", func() bool {
			return c.reconciles("b", "widgets/w") > 0 && c.reconciles("b", "gadgets/g") > 0
		})
		cut.Store(false)
		c.eventually(3*lease.Fast.LeaseDuration, "the first has a share again", func() bool { return len(a.holds()) == 1 && len(b.holds()) == 1 })
		c.stop(a, b)
	})
}

// Work that ignores the end of its term keeps its own key from the next term of
// the process, and no other.
func TestGroupTheNextTermWaitsForAKeyThatStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "stuck"), object(widgets, "fine"))
		cut := c.partition("a")
		release := make(chan struct{})
		a := c.start("a", func(_ context.Context, key Key) error {
			if key.Name == "stuck" {
				<-release
			}
			return nil
		})
		c.eventually(firstStart, "it works on both", func() bool { return c.reconciles("a", "widgets/fine") == 1 && len(c.working()) == 1 })
		cut.Store(true)
		c.eventually(lease.Fast.LeaseDuration, "its terms are over", func() bool { return len(a.holds()) == 0 })
		cut.Store(false)
		c.eventually(firstStart, "the next term has done the other key", func() bool { return c.reconciles("a", "widgets/fine") == 2 })
		if n := c.reconciles("a", "widgets/stuck"); n != 0 {
			t.Errorf("the stuck key was done %d times, want none yet", n)
		}
		close(release)
		c.eventually(time.Second, "the next term has done the stuck key", func() bool { return c.reconciles("a", "widgets/stuck") == 2 })
		c.stop(a)
	})
}

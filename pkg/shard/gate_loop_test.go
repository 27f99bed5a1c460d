// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// watched is a gate at work, and what it has said last.
type watched struct {
	*gate
	open  atomic.Bool
	stop  context.CancelFunc
	tasks errgroup.Group
	over  chan struct{}
}

// watch keeps a gate, which begins open or not, until stop.
func watch(t *testing.T, g Gate, open bool) *watched {
	t.Helper()
	w := &watched{gate: newGate(&g), over: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	w.open.Store(open)
	go func() {
		defer close(w.over)
		if err := w.keep(ctx, w.tasks.Go, open, w.open.Store); err != nil {
			t.Errorf("keep: %v", err)
		}
	}()
	return w
}

// end stops the gate and waits for all that it has started.
func (w *watched) end() {
	w.stop()
	<-w.over
	_ = w.tasks.Wait()
}

// expect fails the test unless the gate is open, or closed for that reason.
func (w *watched) expect(t *testing.T, problem string) {
	t.Helper()
	synctest.Wait()
	if got := w.problem(); got != problem || w.open.Load() != (problem == "") {
		t.Errorf("the gate is open: %v, problem %q; want problem %q", w.open.Load(), got, problem)
	}
}

// switched is a check that fails for a reason while there is one.
type switched struct {
	mu     sync.Mutex
	reason error
	calls  []time.Time
}

func (s *switched) set(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason = reason
}

func (s *switched) check(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, time.Now())
	return s.reason
}

var errDown = errors.New("the database is down")

// interval is longer than one of the gate, jitter included, and shorter than two.
const interval = 5500 * time.Millisecond

func TestGateOpensAndClosesAfterEnoughChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &switched{reason: errDown}
		w := watch(t, Gate{Check: s.check, FailureThreshold: 3, SuccessThreshold: 2}, false)
		w.expect(t, "not fit: the database is down")
		s.set(nil)
		time.Sleep(interval)
		w.expect(t, "not fit: 1 of 2 checks in a row have succeeded")
		time.Sleep(interval)
		w.expect(t, "")
		s.set(errDown)
		time.Sleep(2 * interval)
		w.expect(t, "")
		time.Sleep(interval)
		w.expect(t, "not fit: the database is down")
		w.end()
	})
}

func TestGateIsClosedBeforeTheFirstCheck(t *testing.T) {
	g := newGate(&Gate{Check: func(context.Context) error { return nil }})
	if got, want := g.problem(), "not fit: not checked yet"; got != want {
		t.Errorf("problem %q, want %q", got, want)
	}
	if got := (*gate)(nil).problem(); got != "" {
		t.Errorf("a role without a gate has the problem %q", got)
	}
}

// As it does for a role that takes the place of another, whose gate was open.
func TestGateThatBeginsOpenStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &switched{reason: errDown}
		w := watch(t, Gate{Check: s.check, FailureThreshold: 2}, true)
		w.expect(t, "")
		time.Sleep(interval)
		w.expect(t, "not fit: the database is down")
		w.end()
	})
}

// One that a gate before this one has closed while it ended, say.
func TestGateSaysWhatItIsAfterEachCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, Gate{Check: func(context.Context) error { return nil }}, true)
		w.expect(t, "")
		w.open.Store(false)
		time.Sleep(interval)
		w.expect(t, "")
		w.end()
	})
}

func TestGateChecksAtIntervalsWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &switched{}
		w := watch(t, Gate{Check: s.check, Interval: 10 * time.Second}, false)
		time.Sleep(time.Hour)
		w.end()
		different := map[time.Duration]bool{}
		for i := range s.calls[1:] {
			between := s.calls[i+1].Sub(s.calls[i])
			if between < 10*time.Second || between > 11*time.Second {
				t.Errorf("check %d came %s after the one before, want 10 s to 11 s", i+1, between)
			}
			different[between] = true
		}
		if len(different) < 2 {
			t.Errorf("%d checks, all at the same interval", len(s.calls))
		}
	})
}

func TestGateCheckThatTakesTooLongHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, Gate{Check: func(ctx context.Context) error {
			<-ctx.Done()
			return nil // too late to matter
		}, Timeout: 2 * time.Second}, false)
		time.Sleep(3 * time.Second)
		w.expect(t, "not fit: no answer within 2s")
		w.end()
	})
}

func TestGateChecksThatIgnoreTheirContextDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls, under atomic.Int32
		stuck := make(chan struct{})
		w := watch(t, Gate{Check: func(context.Context) error {
			if under.Add(1) > 1 {
				t.Error("two checks are under way at once")
			}
			defer under.Add(-1)
			if calls.Add(1) == 2 {
				<-stuck
			}
			return nil
		}, FailureThreshold: 2}, false)
		w.expect(t, "")
		time.Sleep(time.Minute)
		w.expect(t, "not fit: a check that ignores its context still runs")
		if n := calls.Load(); n != 2 {
			t.Errorf("%d checks were begun while one is stuck, want that one and the one before", n)
		}
		close(stuck) // what it says now counts for nothing, but the next one does
		time.Sleep(interval)
		w.expect(t, "")
		w.end()
	})
}

func TestGatePanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, Gate{Check: func(context.Context) error { panic("no such column") }}, false)
		synctest.Wait()
		if got, want := w.problem(), "not fit: panic in the check: no such column"; !strings.HasPrefix(got, want) {
			t.Errorf("problem %q, want one that begins with %q", got, want)
		}
		w.end()
	})
}

func TestGateEndsWithItsCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		w := watch(t, Gate{Check: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(abandonAfter / 2)
			ended = true
			return nil
		}}, true)
		synctest.Wait()
		w.stop()
		<-w.over
		if !ended {
			t.Error("the gate has ended before its check")
		}
		w.expect(t, "") // a check that was cut short says nothing
	})
}

func TestGateIsNotHeldUpForEverByItsCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		w := watch(t, Gate{Check: func(context.Context) error { <-stuck; return nil }}, true)
		synctest.Wait()
		began := time.Now()
		w.stop()
		<-w.over
		if took := time.Since(began); took != abandonAfter {
			t.Errorf("it took %s to end, want %s", took, abandonAfter)
		}
		close(stuck)
		_ = w.tasks.Wait()
	})
}

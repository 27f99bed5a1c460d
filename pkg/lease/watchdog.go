// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"sync"
	"time"
)

// watchdog notes what the driver is about to do, so that somebody else can tell that
// it does not get on. It asks for no more than what the program can do by itself: an
// API server that does not answer is no reason to end it.
type watchdog struct {
	clock    Clock
	patience time.Duration // for the loop
	answer   time.Duration // by when a request is answered or given up, and then some

	mu   sync.Mutex
	due  Instant            // by when the loop has something to do; zero while it has nothing
	sent map[uint64]Instant // renewals under way, by ID
}

func newWatchdog(c Clock, t Timings) *watchdog {
	return &watchdog{clock: c, patience: t.RenewDeadline, answer: t.RequestTimeout() + t.RenewDeadline, sent: map[uint64]Instant{}}
}

// working: the loop has something to do now.
func (w *watchdog) working() { w.waiting(w.clock.Now()) }

// waiting: the loop waits, until at the latest.
func (w *watchdog) waiting(at Instant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = at
}

// sending: a renewal is under way, of the session or of one term.
func (w *watchdog) sending(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent[id] = w.clock.Now()
}

// answered: it is not any more.
func (w *watchdog) answered(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sent, id)
}

// ended: nothing more is to come.
func (w *watchdog) ended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = 0
	clear(w.sent)
}

// loop says that the loop does not get on, or nil.
func (w *watchdog) loop() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if late := w.clock.Now().Sub(w.due); w.due != 0 && late > w.patience {
		return fmt.Errorf("the election's loop has been stuck for %s", late.Round(time.Second))
	}
	return nil
}

// renewal says that renewing does not get on, or nil.
func (w *watchdog) renewal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	for _, at := range w.sent {
		if since := now.Sub(at); since > w.answer {
			return fmt.Errorf("a renewal was sent %s ago and has neither been answered nor given up", since.Round(time.Second))
		}
	}
	return nil
}

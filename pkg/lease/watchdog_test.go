// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"testing"
	"time"
)

// hand is a clock that is set by hand.
type hand struct{ now Instant }

func (h *hand) Now() Instant { return h.now }

func TestWatchdog(t *testing.T) {
	const s = time.Second // of the default timings: RenewDeadline 9 s, time-out of a request 3 s
	for _, tc := range []struct {
		name          string
		do            func(w *watchdog, pass func(time.Duration))
		loop, renewal bool // stuck
	}{
		{"before anything was done", func(_ *watchdog, pass func(time.Duration)) { pass(time.Hour) }, false, false},
		{"a loop that has worked for long", func(w *watchdog, pass func(time.Duration)) { w.working(); pass(10 * s) }, true, false},
		{"a loop that works", func(w *watchdog, pass func(time.Duration)) { w.working(); pass(8 * s) }, false, false},
		{"a loop that has got on", func(w *watchdog, pass func(time.Duration)) {
			w.working()
			pass(10 * s)
			w.waiting(w.clock.Now().Add(3 * s))
		}, false, false},
		{"a loop whose time has come", func(w *watchdog, pass func(time.Duration)) {
			w.waiting(w.clock.Now().Add(3 * s))
			pass(11 * s)
		}, false, false},
		{"a loop that does not wake up", func(w *watchdog, pass func(time.Duration)) {
			w.waiting(w.clock.Now().Add(3 * s))
			pass(13 * s)
		}, true, false},
		{"a loop that waits for an event alone", func(w *watchdog, pass func(time.Duration)) { w.waiting(0); pass(time.Hour) }, false, false},
		{"a renewal that is under way", func(w *watchdog, pass func(time.Duration)) { w.sending(1); pass(12 * s) }, false, false},
		{"a renewal that has no end", func(w *watchdog, pass func(time.Duration)) {
			w.sending(1)
			w.sending(2)
			w.answered(2)
			pass(13 * s)
		}, false, true},
		{"a renewal that has come to an end", func(w *watchdog, pass func(time.Duration)) {
			w.sending(1)
			pass(13 * s)
			w.answered(1)
		}, false, false},
		{"after all has ended", func(w *watchdog, pass func(time.Duration)) {
			w.working()
			w.sending(1)
			w.ended()
			pass(time.Hour)
		}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := &hand{now: 1}
			w := newWatchdog(clock, Default)
			tc.do(w, func(d time.Duration) { clock.now = clock.now.Add(d) })
			if err := w.loop(); (err != nil) != tc.loop {
				t.Errorf("loop: got %v, want stuck %t", err, tc.loop)
			}
			if err := w.renewal(); (err != nil) != tc.renewal {
				t.Errorf("renewal: got %v, want stuck %t", err, tc.renewal)
			}
		})
	}
}

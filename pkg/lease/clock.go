// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"sync/atomic"
	"time"
)

// Clock is the replica's own clock. It must go on while the process and the
// machine are stopped, and never step.
type Clock interface {
	Now() Instant
}

// MonotonicClock returns Go's monotonic clock, which stands still while a
// machine is suspended: use it in tests with virtual time, and [BootClock]
// elsewhere.
func MonotonicClock() Clock { return monotonic{origin: time.Now().Add(-time.Hour)} }

type monotonic struct{ origin time.Time }

func (m monotonic) Now() Instant { return Instant(time.Since(m.origin)) }

// Validity is how long a session, and every term that rests on it, may be
// acted on. It is safe for concurrent use.
type Validity struct {
	clock Clock
	until atomic.Int64
	// session, if set, is that of the session which the term rests on besides:
	// it is valid no longer.
	session *Validity
}

// NewValidity returns one that is not valid yet.
func NewValidity(c Clock) *Validity { return &Validity{clock: c} }

// within returns the validity of a term that is renewed by itself, in a session.
func (v *Validity) within() *Validity { return &Validity{clock: v.clock, session: v} }

// Extend moves the validity; the zero Instant ends it.
func (v *Validity) Extend(until Instant) { v.until.Store(int64(until)) }

// Remaining is how long it is still valid: zero or less once it is over.
func (v *Validity) Remaining() time.Duration {
	until := v.until.Load()
	if v.session != nil {
		until = min(until, v.session.until.Load())
	}
	return Instant(until).Sub(v.clock.Now())
}

// Valid tells whether the term may be acted on now.
func (v *Validity) Valid() bool { return v.Remaining() > 0 }

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

const (
	// maxMargin is the longest time before the end of the validity at which a program is killed: for the
	// guardian to get a processor, and for the system to take down a process. For all else that may be late
	// there is what the others wait beyond the validity: more than half of it again (rule R8).
	maxMargin = time.Second

	// longestLook is how often the validity is read at least.
	longestLook = 250 * time.Millisecond
)

// limits turn what is left of a term into instants for its program.
type limits struct {
	term  Term
	grace time.Duration
	// full is the longest validity seen in the term: what a renewal gives.
	full time.Duration
}

// margin is how long before the end of the validity the program is killed: a twentieth of what a renewal
// gives, at most 1 s.
func (l *limits) margin() time.Duration { return min(l.full/20, maxMargin) }

// read returns when the program is to be asked to end, and when it is to be killed, as of now.
//
// It is asked when a third of what a renewal gives is left, or later if it needs less than that to end. An
// ordinary renewal comes when more than half is left (RenewDeadline > 2 x RenewInterval), so with the presets
// one renewal may be lost, and the program notices nothing.
func (l *limits) read(clock lease.Clock) (terminateAt, killAt lease.Instant) {
	now := clock.Now() // before the rest is read: should this process be stopped in between, they come too early
	remaining := l.term.Remaining()
	l.full = max(l.full, remaining)
	killAt = now.Add(remaining - l.margin())
	return killAt.Add(-min(l.grace, l.full/3-l.margin())), killAt
}

// look is how long to wait before the validity is read again.
func (l *limits) look() time.Duration {
	return min(max(l.full/20, time.Millisecond), longestLook)
}

// awaitTime waits until the validity is long enough to start a program in. It returns false if ctx is done.
func (l *limits) awaitTime(ctx context.Context) bool {
	for ctx.Err() == nil {
		clock := lease.BootClock()
		if terminateAt, _ := l.read(clock); terminateAt > clock.Now() {
			return true
		}
		await(ctx, l.look())
	}
	return false
}

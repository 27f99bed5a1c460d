// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math/rand/v2"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Clock is the clock of one machine: it starts anywhere and runs at a rate of
// its own, in thousandths of true time.
type Clock struct {
	Offset lease.Instant
	Rate   int64
}

// Perfect is a clock that runs as fast as true time does.
var Perfect = Clock{Offset: lease.Instant(time.Hour), Rate: 1000}

// horizon is further than any history goes.
const horizon = 240 * time.Hour

// At reads the clock at a true time.
func (c Clock) At(now time.Duration) lease.Instant {
	return c.Offset + lease.Instant(int64(now)*c.Rate/1000)
}

// When is the earliest true time at which the clock shows at least i.
func (c Clock) When(i lease.Instant) time.Duration {
	return c.true(min(i.Sub(c.Offset), horizon))
}

// true is how long d of this clock lasts by true time.
func (c Clock) true(d time.Duration) time.Duration {
	return time.Duration((int64(d)*1000 + c.Rate - 1) / c.Rate)
}

// Span is a range of durations, drawn from evenly.
type Span struct{ Least, Most time.Duration }

// Exactly is the span of one duration.
func Exactly(d time.Duration) Span { return Span{d, d} }

func (s Span) draw(rng *rand.Rand) time.Duration {
	if s.Most <= s.Least {
		return s.Least
	}
	return s.Least + time.Duration(rng.Int64N(int64(s.Most-s.Least)))
}

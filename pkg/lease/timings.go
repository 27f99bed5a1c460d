// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Timings are the durations of a session. The zero value is not valid: start
// from [Default], [Fast] or [Relaxed].
type Timings struct {
	// LeaseDuration is how long the others wait, each on its own clock, since
	// they last saw a heartbeat, before they take over. Whole seconds, at
	// least 1.6 times RenewDeadline. Hazard: it is the longest that a shard of
	// a crashed replica stays without a holder.
	LeaseDuration time.Duration

	// RenewDeadline is how long a replica trusts a renewal, counted from the
	// moment that renewal was sent. More than twice RenewInterval, so that one
	// lost request does not end every term. Hazard: an outage of the API
	// server longer than this stops all work.
	RenewDeadline time.Duration

	// RenewInterval is the time between two heartbeats: the only request on
	// Leases that a replica sends in a steady group, unless it renews its shards
	// one by one ([LeaseMode]). At least 100 ms.
	RenewInterval time.Duration
}

// The presets. Default follows the durations that client-go documents, with a
// RenewDeadline that leaves room for clocks of different speed.
var (
	Default = Timings{LeaseDuration: 15 * time.Second, RenewDeadline: 9 * time.Second, RenewInterval: 3 * time.Second}
	Fast    = Timings{LeaseDuration: 6 * time.Second, RenewDeadline: 3500 * time.Millisecond, RenewInterval: time.Second}
	Relaxed = Timings{LeaseDuration: 60 * time.Second, RenewDeadline: 36 * time.Second, RenewInterval: 10 * time.Second}
)

// Presets are the named timings that a configuration may ask for.
func Presets() map[string]Timings {
	return map[string]Timings{"default": Default, "fast": Fast, "relaxed": Relaxed}
}

const (
	minRenewInterval = 100 * time.Millisecond
	maxLeaseDuration = time.Hour
	// minClockRateBound is the least LeaseDuration/RenewDeadline: below it the
	// guarantee of exclusion would rest on clocks that agree within a few
	// percent, which a throttled or migrated machine does not promise.
	minClockRateBound = 1.6
)

// Validate tells what is wrong with t; the paths are those of the fields below
// path.
func (t Timings) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	invalid := func(name string, d time.Duration, format string, args ...any) {
		errs = append(errs, field.Invalid(path.Child(name), d.String(), fmt.Sprintf(format, args...)))
	}
	if t.RenewInterval < minRenewInterval {
		invalid("renewInterval", t.RenewInterval, "use %s or more: each heartbeat is a write to etcd", minRenewInterval)
	}
	if t.RenewDeadline <= 2*t.RenewInterval {
		invalid("renewDeadline", t.RenewDeadline, "use more than twice renewInterval (%s), or a single lost heartbeat ends every term", 2*t.RenewInterval)
	}
	if least := time.Duration(minClockRateBound * float64(t.RenewDeadline)); t.LeaseDuration < least {
		invalid("leaseDuration", t.LeaseDuration, "use %s or more (%.1f times renewDeadline), or clocks of slightly different speed give two holders", least, minClockRateBound)
	}
	if t.LeaseDuration%time.Second != 0 {
		invalid("leaseDuration", t.LeaseDuration, "use whole seconds: a Lease records nothing finer")
	}
	if t.LeaseDuration > maxLeaseDuration {
		invalid("leaseDuration", t.LeaseDuration, "use %s or less: nobody takes over from a crashed replica before it has passed", maxLeaseDuration)
	}
	return errs
}

// ClockRateBound is how many times faster the fastest clock of the group may
// run than the slowest before two replicas could hold one shard: rule R8.
func (t Timings) ClockRateBound() float64 {
	return float64(t.LeaseDuration) / float64(t.RenewDeadline)
}

// RequestTimeout bounds one request on a Lease: a lost one must leave time for
// another within the RenewDeadline.
func (t Timings) RequestTimeout() time.Duration {
	return min(t.RenewInterval, 5*time.Second)
}

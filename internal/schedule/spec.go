// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"errors"
	"fmt"
	"time"
)

// Concurrency says what becomes of a tick while a run of an earlier one goes on.
type Concurrency string

const (
	// Forbid has it wait until that has ended.
	Forbid Concurrency = "Forbid"
	// Allow starts it, up to [MaxRuns] at once; beyond that it waits.
	Allow Concurrency = "Allow"
	// Replace stops the run, and starts the tick when that has ended.
	Replace Concurrency = "Replace"
)

// Delivery says what becomes of a tick whose run did not come to its end.
type Delivery string

const (
	// AtMostOnce starts no tick twice.
	AtMostOnce Delivery = "AtMostOnce"
	// AtLeastOnce starts it again, in the next term, until a run of it has ended by itself
	// or was replaced.
	AtLeastOnce Delivery = "AtLeastOnce"
)

// MaxRuns bounds how many runs of one schedule go on at once.
const MaxRuns = 10

// Spec is what a schedule is to do.
type Spec struct {
	// Role is the name of the schedule and of its shard.
	Role string
	Cron Cron
	// StartingDeadline is how late a tick may be started; zero: however late.
	StartingDeadline time.Duration
	// Concurrency and Delivery have no defaults here.
	Concurrency Concurrency
	Delivery    Delivery
	// Suspend skips what is due. Runs that go on are not affected.
	Suspend bool
}

// Validate says what is not allowed, by the names of the fields in a configuration.
func (s Spec) Validate() error {
	var errs []error
	if s.StartingDeadline < 0 {
		errs = append(errs, fmt.Errorf("startingDeadline: %s is not allowed: use a positive one, or 0 for none", s.StartingDeadline))
	}
	if s.Concurrency != Forbid && s.Concurrency != Allow && s.Concurrency != Replace {
		errs = append(errs, fmt.Errorf("concurrencyPolicy: %q is not allowed: use %s, %s or %s", s.Concurrency, Forbid, Allow, Replace))
	}
	if s.Delivery != AtMostOnce && s.Delivery != AtLeastOnce {
		errs = append(errs, fmt.Errorf("delivery: %q is not allowed: use %s or %s", s.Delivery, AtMostOnce, AtLeastOnce))
	}
	return errors.Join(errs...)
}

// runs is how many may go on at once.
func (s Spec) runs() int {
	if s.Concurrency == Allow {
		return MaxRuns
	}
	return 1
}

// key is the idempotency key of a tick.
func (s Spec) key(tick time.Time) string { return s.Role + "/" + tick.Format(time.RFC3339) }

// Term is the holding of the schedule's shard that a machine works for.
type Term struct {
	Epoch int32
	Token int64
	// Ledger is what is on record for the schedule as the machine begins; empty if nothing
	// ever was. Unsaved says that it is not known to be there: an earlier machine of the
	// same term left it.
	Ledger  string
	Unsaved bool
	// Created is when the shard's Lease was: ticks before that are none of a schedule that
	// has nothing on record.
	Created time.Time
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// A layer below us sends a heartbeat again: the first copy is carried out, and
// the second is answered with a conflict. The session goes on, for the record
// carries the attempt (R9).
func TestRequestThatIsCarriedOutTwice(t *testing.T) {
	w := New(1, lease.Default, "s1")
	w.InstallLayout()
	r := w.Start("a")
	w.Run(5 * time.Second)
	identity := r.Identity
	w.Fate = func(_ *Replica, op lease.Op) (Fate, bool) {
		return Fate{Again: 10 * time.Millisecond}, op.Why == "heartbeat"
	}
	var answers []lease.Outcome
	w.Recorded = func(_ *Replica, _ lease.Instant, events []lease.Event, _ []lease.Effect) {
		for _, ev := range events {
			reply, ok := ev.(lease.Replied)
			if !ok {
				continue
			}
			answers = append(answers, reply.Outcome)
		}
	}
	w.Run(3 * lease.Default.LeaseDuration)
	if !slices.Contains(answers, lease.Conflict) {
		t.Errorf("answers %v, want conflicts", answers)
	}
	if w.Checks.Violation != nil || !r.Holds("s1") || r.Identity != identity {
		t.Errorf("violation %v, %s holds s1: %t; want %s to hold it throughout", w.Checks.Violation, r.Identity, r.Holds("s1"), identity)
	}
}

// A 429 brings the pause that it asks for to the machine, which bounds it.
func TestThrottledRequestAsksForAPause(t *testing.T) {
	w := New(1, lease.Default, "s1")
	w.InstallLayout()
	r := w.Start("a")
	w.Run(5 * time.Second)
	identity, refused := r.Identity, false
	w.Fate = func(_ *Replica, op lease.Op) (Fate, bool) {
		once := op.Why == "heartbeat" && !refused
		refused = refused || once
		return Fate{Refusal: lease.Throttled, RetryAfter: 30 * time.Second}, once
	}
	var asked time.Duration
	w.Recorded = func(_ *Replica, _ lease.Instant, events []lease.Event, _ []lease.Effect) {
		for _, ev := range events {
			reply, ok := ev.(lease.Replied)
			if !ok {
				continue
			}
			asked = max(asked, reply.RetryAfter)
		}
	}
	w.Run(lease.Default.LeaseDuration)
	if asked != 30*time.Second || !r.Holds("s1") || r.Identity != identity {
		t.Errorf("asked for %s, %s holds s1: %t; want 30s, and %s to hold it throughout", asked, r.Identity, r.Holds("s1"), identity)
	}
}

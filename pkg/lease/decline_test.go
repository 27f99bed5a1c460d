// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// decline makes a replica say that it takes no shard of these families.
func decline(r *sim.Replica, cause lease.Cause, families ...string) {
	all := map[string]lease.Cause{}
	for _, family := range families {
		all[family] = cause
	}
	r.Deliver(lease.Reported{Ready: true, Declines: all})
}

func TestWhoDeclinesGivesAway(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	s.Faults.WorkReturns = sim.Exactly(time.Second)
	s.Forget()
	decline(s.replica("a"), lease.CauseYielded, "s1", "s2")
	t.Log("not before its work has ended")
	s.stays(999*time.Millisecond, s.Holders())
	s.within(time.Second, "b b")
	if s.Checks.Passed != 1 || s.Checks.Granted[lease.CauseTransfer] != 1 {
		t.Errorf("passed on: %d, gained: %v, want one transfer", s.Checks.Passed, s.Checks.Granted)
	}

	t.Log("it gets its share back once it takes shards again")
	s.stays(20*time.Second, "b b")
	decline(s.replica("a"), lease.CauseYielded)
	s.Run(10 * time.Second)
	if n := len(s.replica("a").Terms); n != 1 {
		t.Errorf("it holds %d shards, want 1", n)
	}
}

// Other than for want of readiness, a shard that all decline is held by nobody.
func TestWhatAllDeclineIsFree(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	s.Faults.WorkReturns = sim.Exactly(time.Millisecond)
	decline(s.replica("a"), lease.CauseUnfit, "s1")
	decline(s.replica("b"), lease.CauseUnfit, "s1")
	s.Run(5 * time.Second)
	holder := s.shard("s2").Holder
	if got := s.shard("s1"); got.Holder != "" {
		t.Fatalf("s1 is held by %s", got.Holder)
	}
	s.Run(2 * lease.Default.LeaseDuration)
	if got := s.shard("s1"); got.Holder != "" {
		t.Fatalf("s1 is held by %s", got.Holder)
	}
	if got := s.shard("s2").Holder; got != holder {
		t.Errorf("s2, which nobody declines, moved from %s to %s", holder, got)
	}
	decline(s.replica("b"), lease.CauseUnfit)
	if !s.Until(time.Second, func() bool {
		return len(s.replica("b").Terms) == 1 && s.shard("s1").Holder == s.replica("b").Identity || s.Holders() == "b b"
	}) {
		t.Errorf("once b is fit again, the shards are held by %s", s.Holders())
	}
}

// A shard that is on its way to a replica which declines it meanwhile is not taken up.
func TestTransferToWhoDeclinesGoesOn(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	s.Faults.WorkReturns = sim.Exactly(time.Millisecond)
	a, b := s.replica("a"), s.replica("b")
	s.Forget()
	b.Watch.Stalled = s.Now() + 300*time.Millisecond
	a.Deliver(lease.Leave{})
	s.Run(200 * time.Millisecond)
	if got := s.shard("s1"); got.Holder != b.Identity {
		t.Fatalf("s1 is on its way to %q", got.Holder)
	}
	decline(b, lease.CauseUnfit, "s1")
	s.Run(time.Second)
	if s.Checks.Granted[lease.CauseTransfer] != 0 || s.shard("s1").Holder != "" {
		t.Errorf("it was granted %v, and the record names %q", s.Checks.Granted, s.shard("s1").Holder)
	}
	s.Start("c")
	s.within(5*time.Second, "c")
}

// Balance alone does not interrupt who is busy; an operator's pin does.
func TestBusyStaysWhereItIs(t *testing.T) {
	s := settled(t, "s1 s2", "a")
	s.Faults.WorkReturns = sim.Exactly(time.Millisecond)
	a := s.replica("a")
	a.Deliver(lease.Reported{Ready: true, Busy: map[string]bool{"s1": true, "s2": true}})
	s.Start("b")
	s.stays(30*time.Second, "a a")
	a.Deliver(lease.Reported{Ready: true, Busy: map[string]bool{}})
	s.Run(5 * time.Second)
	if n := len(s.replica("b").Terms); n != 1 {
		t.Errorf("once nobody is busy the other holds %d shards, want 1", n)
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"maps"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// What was missing in the change of layouts at first: the world of each checks that
// no key has two owners, and that fencing tokens rise.

// The record is restored while the only one that knows better leaves slowly.
func TestRestoredRecordDoesNotHideWhoHolds(t *testing.T) {
	s := divided(t, 2, "a")
	before := maps.Clone(s.Server.Lease(lease.LayoutLeaseName(sim.Group)).Annotations)
	s.redivide(4, lease.ByUID)
	s.Run(5 * time.Second)
	s.isDivided(4)
	s.Run(lease.BuryAfter*lease.Default.LeaseDuration + time.Minute)
	s.Faults.WorkReturns = sim.Exactly(time.Minute)
	s.replica("a").Deliver(lease.Leave{})
	s.Run(time.Second)
	s.Logf("*", "restores the record")
	s.Server.Edit(lease.LayoutLeaseName(sim.Group), func(l *coordinationv1.Lease) { l.Annotations = before })
	s.Config.Shards = family(2, lease.ByUID)
	s.Start("late")
	s.Run(2 * time.Minute)
	if unowned := s.Unowned("s"); unowned > 0 {
		t.Errorf("%d sample keys have no owner", unowned)
	}
}

// The record is deleted when all old Leases are sealed and no new one is claimed; a
// replica that lags behind claims one after somebody has written another record.
func TestLateClaimByADeletedRecord(t *testing.T) {
	s := divided(t, 2, "a")
	s.redivide(4, lease.ByUID)
	sealed := func() bool {
		for _, name := range []string{"s.0-of-2", "s.1-of-2"} {
			if s.shard(name).Sealed == 0 {
				return false
			}
		}
		return true
	}
	if !s.Until(5*time.Second, sealed) {
		t.Fatal("the old Leases were not sealed")
	}
	s.Faults.WorkReturns = sim.Exactly(time.Minute)
	s.replica("a").Pause(5 * time.Second)
	s.Logf("*", "deletes the record")
	s.Server.Remove(lease.LayoutLeaseName(sim.Group))
	s.Config.Shards = family(2, lease.ByUID)
	s.Start("late")
	s.Run(2 * time.Minute)
	if unowned := s.Unowned("s"); unowned > 0 {
		t.Errorf("%d sample keys have no owner", unowned)
	}
}

// A reply to the deletion of a Lease comes when the Lease of that name has long been
// made anew: it is not about that.
func TestLateReplyToADeletion(t *testing.T) {
	s := divided(t, 4, "a", "b")
	s.redivide(2, lease.ByUID)
	s.Run(2 * time.Second)
	late := 0
	s.Fate = func(_ *sim.Replica, op lease.Op) (sim.Fate, bool) {
		if op.Verb != lease.Delete {
			return sim.Fate{}, false
		}
		late++
		return sim.Fate{Request: time.Millisecond, Reply: time.Second}, true
	}
	s.redivide(4, lease.ByUID)
	s.Run(2 * lease.Default.LeaseDuration)
	s.isDivided(4)
	if late == 0 {
		t.Fatal("no Lease was made anew")
	}
	s.Forget()
	s.Run(10 * time.Second)
	if sent := s.Checks.Requests; len(sent) != 1 || sent["heartbeat"] == 0 {
		t.Errorf("the group sent %v, want heartbeats only", sent)
	}
}

// In a rolling update that changes the number, the first new replica does not get
// the whole family, which would be divided anew for it alone.
func TestFirstOfANewRevisionDoesNotGetAll(t *testing.T) {
	s := installed(t)
	s.Config.Shards, s.Config.TargetReplicas = family(16, lease.ByUID), 4
	s.Faults.WorkReturns = sim.Span{}
	for _, pod := range []string{"a", "b", "c", "d"} {
		s.Start(pod)
		s.Run(5 * time.Second)
	}
	s.isDivided(16)
	s.Config.Revision, s.Config.Shards = 1, family(32, lease.ByUID)
	s.Start("e")
	s.Run(30 * time.Second)
	if n := len(s.replica("e").Terms); n != 4 {
		t.Errorf("the first new one of 4 holds %d of 16", n)
	}
	for _, pod := range []string{"f", "g", "h"} {
		s.Start(pod)
	}
	s.Run(30 * time.Second)
	s.isDivided(32)
}

// A family is not sealed while nobody would claim its new buckets.
func TestLayoutStaysWhileNobodyTakesTheNextOne(t *testing.T) {
	s := divided(t, 2, "a")
	s.redivide(4, lease.ByUID)
	s.Run(5 * time.Millisecond)
	s.cordon("a", "true")
	if gap := s.longestUnowned(time.Minute); gap > 20*time.Millisecond {
		t.Errorf("a key had no owner for %s", gap)
	}
	s.cordon("a", "")
	s.Run(5 * time.Second)
	s.isDivided(4)
}

// A term that is over stays over, although its Lease was out of sight for a while.
func TestEndedTermOfABucketDoesNotBeginAgain(t *testing.T) {
	s := divided(t, 2, "a")
	s.Faults.WorkReturns = sim.Exactly(500 * time.Millisecond)
	a := s.replica("a")
	a.Deliver(lease.Configured{})
	s.Run(10 * time.Millisecond)
	s.Logf("*", "takes the labels of s.0-of-2 away")
	s.Server.Edit("g.s.0-of-2", func(l *coordinationv1.Lease) { l.Labels = nil })
	s.Run(time.Second)
	s.Config.Shards = sim.Shards("other")
	s.Start("b")
	s.Run(2 * time.Second)
	a.Deliver(lease.Configured{Shards: family(2, lease.ByUID)})
	s.Run(5 * time.Second)
	if epoch := a.Terms["s.0-of-2"].Epoch; epoch < 2 {
		t.Errorf("the shard is held at epoch %d, want a later one than before", epoch)
	}
}

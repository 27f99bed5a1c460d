// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

func TestColdStartOfInstalledGroupNeedsNoWait(t *testing.T) {
	s := installed(t, "s1", "s2")
	s.Start("a")
	s.within(time.Second, "a a")
	if s.Checks.Granted[lease.CauseVacant] != 2 {
		t.Errorf("terms were gained by %v, want 2 of vacant shards", s.Checks.Granted)
	}
}

func TestColdStartWithoutLayoutWaitsOnce(t *testing.T) {
	s := newScenario(t, "s1", "s2")
	s.Start("a")
	s.stays(lease.Default.LeaseDuration, "- -")
	s.within(time.Second, "a a")

	t.Log("the group is known now: a new shard needs no wait")
	s.SetShards("s1", "s2", "s3")
	s.replica("a").Deliver(lease.Configured{Shards: s.Config.Shards})
	s.within(time.Second, "a a a")
}

func TestStartersTogetherShare(t *testing.T) {
	s := installed(t, "s1", "s2", "s3", "s4", "s5", "s6")
	for _, pod := range []string{"a", "b", "c"} {
		s.Start(pod)
	}
	s.Run(10 * time.Second)
	for _, r := range s.Alive() {
		if n := len(r.Terms); n != 2 {
			t.Errorf("%s holds %d shards, want 2", r.Name, n)
		}
	}
}

func TestJoinSpreads(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4", "a")
	s.Forget()
	s.Start("b")
	s.Run(10 * time.Second)
	if a, b := len(s.replica("a").Terms), len(s.replica("b").Terms); a != 2 || b != 2 {
		t.Errorf("a holds %d and b %d, want 2 each", a, b)
	}
	if s.Checks.Passed != 2 || s.Checks.Revoked != 0 {
		t.Errorf("%d shards were passed on and %d revoked, want 2 and 0", s.Checks.Passed, s.Checks.Revoked)
	}
}

func TestSteadyGroupSendsOnlyHeartbeats(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4", "a", "b", "c")
	s.Run(10 * time.Second)
	s.Forget()
	s.Run(time.Minute)
	if len(s.Checks.Requests) != 1 || s.Checks.Requests["heartbeat"] != 3*20 {
		t.Errorf("in a minute the group sent %v, want 60 heartbeats", s.Checks.Requests)
	}
}

func TestLeavingHandsOver(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	a := s.replica("a")
	s.Faults.WorkReturns = sim.Exactly(2 * time.Second)
	s.Forget()
	a.Deliver(lease.Leave{})

	t.Log("it says that it leaves, a request and an event, and holds the shard for as long as its work goes on")
	s.stays(2*time.Millisecond+1999*time.Millisecond, s.Holders())
	gap := s.within(time.Second, "b b")
	if limit := 1*time.Millisecond + 2*time.Millisecond; gap > limit {
		t.Errorf("nobody held the shard for %s, want %s: one request and one event", gap, limit)
	}
	s.Run(time.Second)
	if _, ok := s.member("a"); ok || !a.Left {
		t.Errorf("left: %t, member Lease there: %t", a.Left, ok)
	}
	if s.Checks.Passed != 1 || s.Checks.Granted[lease.CauseTransfer] != 1 {
		t.Errorf("passed on: %d, gained: %v, want one transfer", s.Checks.Passed, s.Checks.Granted)
	}
}

// Whoever gets a shard of a member that leaves must not give it one back, because that holds
// nothing any more.
func TestNobodyGivesToAMemberThatLeaves(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4 s5 s6", "a", "b", "c")
	a := s.replica("a")
	s.Faults.WorkReturns = sim.Exactly(time.Millisecond)
	s.Faults.Request = sim.Exactly(300 * time.Millisecond) // its heartbeat is the last to arrive
	s.Forget()
	a.Deliver(lease.Leave{})
	s.Run(10 * time.Second)
	if !a.Left {
		t.Error("it has not left")
	}
	if got := s.Checks.Granted[lease.CauseTransfer]; s.Checks.Passed != 2 || got != 2 {
		t.Errorf("passed on: %d, received: %d, want its two shards once each", s.Checks.Passed, got)
	}
}

// It goes, even if the word of it is not to be heard.
func TestLeavingDoesNotWaitForItsWordForGood(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	a := s.replica("a")
	own, _ := s.member("a")
	s.Forget()
	a.Deliver(lease.Leave{})
	s.writeShard(own.Name, func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationLeaving) }) // somebody writes it first
	s.Run(5 * time.Second)
	if !a.Left {
		t.Error("it has not left")
	}
}

func TestLastOneLeavingReleases(t *testing.T) {
	s := settled(t, "s1 s2", "a")
	s.replica("a").Deliver(lease.Leave{})
	s.Run(time.Second)
	for _, shard := range []string{"s1", "s2"} {
		if got := s.shard(shard); got.Holder != "" || got.Session || got.Duration != time.Second {
			t.Errorf("%s is left as %+v, want it released with a duration of 1 s", shard, got)
		}
	}

	t.Log("the next one needs no wait")
	s.Start("b")
	s.within(time.Second, "b b")
}

// A session that tells the others that it has ended may be taken over from at
// once: it must not begin anything any more.
func TestTransferToWhoeverIsJustLeavingBeginsNothing(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	from, to := s.replica("a"), s.replica("b")
	if s.Holder("s1") != from {
		from, to = to, from
	}
	to.CutReplies = s.Now() + time.Hour // it cannot delete its record
	to.Deliver(lease.Leave{})
	if !s.Until(10*time.Second, func() bool { m, _ := s.member(to.Process.Pod); return m.Ended == to.Identity }) {
		t.Fatal("it does not end its session")
	}
	op := from.Election.TransferOp("s1", to.Identity)
	from.Crash()
	s.Server.Do(op)
	s.Run(time.Second)
	if len(to.Terms) > 0 || s.shard("s1").Holder != to.Identity {
		t.Errorf("the record names %s; terms begun: %v, want none", s.shard("s1").Holder, to.Terms)
	}
}

// Whoever leaves removes its record; a shard that was given to it too late is
// free all the same, at once.
func TestTransferToWhoeverHasLeftIsTaken(t *testing.T) {
	s := settled(t, "s1", "a", "b", "c")
	from := s.Holder("s1")
	others := slices.DeleteFunc(s.Alive(), func(r *sim.Replica) bool { return r == from })
	to, next := others[0], others[1]
	op := from.Election.TransferOp("s1", to.Identity)
	to.Deliver(lease.Leave{})
	s.Run(time.Second)
	if _, ok := s.member(to.Process.Pod); ok || !to.Left {
		t.Fatal("it has not left")
	}
	from.Crash()
	s.Server.Do(op)
	s.within(time.Second, next.Name)
}

func TestCrashIsTakenOverFrom(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	s.Forget()
	a := s.replica("a")
	s.Until(10*time.Second, func() bool { return a.Rates.Requests != nil && a.Rates.Requests[len(a.Rates.Requests)-1] == s.Now() })
	lastRenewal := s.Now()
	s.Run(2 * time.Second)
	a.Crash()
	s.within(time.Minute, "b b")
	if took := s.Now() - lastRenewal; took < lease.Default.LeaseDuration || took > lease.Default.LeaseDuration+time.Second {
		t.Errorf("held again %s after the last renewal, want %s and at most a second", took, lease.Default.LeaseDuration)
	}
	if s.Checks.Granted[lease.CauseTakeOver] != 1 {
		t.Errorf("gained by %v, want one take-over", s.Checks.Granted)
	}
}

func TestCrashOfTheOtherHalfTakesNothingElse(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4 s5 s6", "a", "b", "c")
	before := s.Holders()
	s.replica("c").Crash()
	s.Forget()
	s.Run(20 * time.Second)
	for _, r := range s.Alive() {
		if len(r.Terms) != 3 {
			t.Errorf("%s holds %d shards, want 3", r.Name, len(r.Terms))
		}
	}
	if s.Checks.Passed+s.Checks.Revoked > 0 || s.Checks.Granted[lease.CauseTakeOver] != 2 {
		t.Errorf("from %s to %s: %d passed on, %d revoked, gained %v: want two taken over and nothing else",
			before, s.Holders(), s.Checks.Passed, s.Checks.Revoked, s.Checks.Granted)
	}
}

func TestPauseBeyondValidityEndsTheSession(t *testing.T) {
	for _, test := range []struct {
		name  string
		pause time.Duration
		alone bool
		want  lease.Cause // how the shard is gained next
	}{
		{"others have taken over", 20 * time.Second, false, lease.CauseTakeOver},
		{"nobody is there to take over", 20 * time.Second, true, lease.CauseReclaim},
		{"before anybody may take over", 12 * time.Second, false, lease.CauseReclaim},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := settled(t, "s1", "a")
			a := s.replica("a")
			if !test.alone {
				s.Start("b")
				s.Run(5 * time.Second)
			}
			before := a.Identity
			epoch := s.shard("s1").Epoch
			s.Forget()
			a.Pause(test.pause)
			s.Run(test.pause + 5*time.Second)
			if s.Checks.Revoked != 1 {
				t.Errorf("%d terms were revoked, want 1", s.Checks.Revoked)
			}
			if a.Identity == before {
				t.Errorf("it goes on as %s, an identity that is over", before)
			}
			if s.Checks.Granted[test.want] != 1 || s.shard("s1").Epoch != epoch+1 {
				t.Errorf("gained by %v at epoch %d, want %s at %d", s.Checks.Granted, s.shard("s1").Epoch, test.want, epoch+1)
			}
		})
	}
}

func TestPauseShorterThanValidityChangesNothing(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	before := s.Holders()
	s.Forget()
	s.Holder("s1").Pause(5 * time.Second)
	s.stays(20*time.Second, before)
	if s.Checks.Revoked+s.Checks.Passed > 0 {
		t.Errorf("%d revoked, %d passed on", s.Checks.Revoked, s.Checks.Passed)
	}
}

func TestLostRepliesOfHeartbeatsDoNotMatter(t *testing.T) {
	s := settled(t, "s1", "a")
	s.replica("a").CutReplies = s.Now() + time.Minute
	s.stays(time.Minute, "a")
}

func TestLostReplyOfAClaimIsLearnedFromTheWatch(t *testing.T) {
	s := installed(t, "s1")
	s.Fate = func(_ *sim.Replica, op lease.Op) (sim.Fate, bool) {
		return sim.Fate{Request: time.Millisecond, Mute: true}, op.Why == "claim"
	}
	s.Start("a")
	s.within(time.Second, "a")
	if s.Checks.Requests["claim"] != 1 {
		t.Errorf("%d claims, want 1", s.Checks.Requests["claim"])
	}
}

// R2: whatever becomes of the request that gives a shard away, its term is over
// once it is sent.
func TestTransferWhoseOutcomeIsUnknown(t *testing.T) {
	for _, test := range []struct {
		name string
		fate sim.Fate
	}{
		{"carried out, reply lost", sim.Fate{Request: time.Millisecond, Mute: true}},
		{"carried out late", sim.Fate{Request: 8 * time.Second, Mute: true}},
		{"lost", sim.Fate{Lost: true}},
		{"refused", sim.Fate{Request: time.Millisecond, Reply: time.Millisecond, Refusal: lease.Throttled}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := settled(t, "s1 s2", "a")
			a := s.replica("a")
			first := true
			s.Fate = func(_ *sim.Replica, op lease.Op) (sim.Fate, bool) {
				if op.Why != "hand over" || !first {
					return sim.Fate{}, false
				}
				first = false
				s.checkOver(a, "as its transfer is sent")
				return test.fate, true
			}
			s.Start("b")
			s.Run(30 * time.Second)
			if len(a.Terms) != 1 || len(s.replica("b").Terms) != 1 {
				t.Errorf("held by %s, want one each", s.Holders())
			}
			if first {
				t.Error("nothing was handed over")
			}
		})
	}
}

// checkOver fails if more than one of the two shards is still held.
func (s *scenario) checkOver(r *sim.Replica, when string) {
	s.t.Helper()
	if len(r.Terms) != 1 {
		s.t.Errorf("%s: %s holds %d shards, want 1", when, r.Name, len(r.Terms))
	}
}

// Validity counts from the send: were it counted from the reply or from the
// event, a slow network followed by a partition would give two holders.
func TestSlowHeartbeatThenPartition(t *testing.T) {
	s := installed(t, "s1")
	slow := sim.Clock{Offset: lease.Instant(time.Hour), Rate: 820}
	fast := sim.Clock{Offset: lease.Instant(time.Minute), Rate: 1340} // 1.63 times as fast
	a := s.StartOn("a", slow, s.Config)
	s.within(2*time.Second, "a")
	s.StartOn("b", fast, s.Config)
	s.Run(10 * time.Second)

	var sent time.Duration
	s.Fate = func(r *sim.Replica, op lease.Op) (sim.Fate, bool) {
		if r != a || op.Why != "heartbeat" || sent != 0 {
			return sim.Fate{}, false
		}
		sent = s.Now()
		a.Watch.Stalled = s.Now() + 2500*time.Millisecond
		return sim.Fate{Request: time.Millisecond, Reply: 2500 * time.Millisecond}, true
	}
	s.Until(10*time.Second, func() bool { return sent != 0 && s.Now() > sent+2600*time.Millisecond })
	s.cut(time.Minute, a)
	s.Until(time.Minute, func() bool { return !a.Holds("s1") })
	if held := s.Now() - sent; held > slow.When(slow.At(0).Add(lease.Default.RenewDeadline)) {
		t.Errorf("held for %s after the heartbeat was sent, by true time", held)
	}
	s.within(time.Minute, "b")
}

func TestDeletedShardLease(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	holder := s.Holder("s1").Name
	s.Forget()
	s.deleteShardLease("s1")
	s.within(2*time.Millisecond, "-")
	if s.Checks.Revoked != 1 {
		t.Errorf("%d terms were revoked, want 1", s.Checks.Revoked)
	}
	s.stays(lease.Default.LeaseDuration, "-")
	s.Run(time.Second)
	if s.Holder("s1") == nil {
		t.Errorf("nobody holds it after a LeaseDuration; before: %s", holder)
	}
}

func TestShardLeaseDeletedBehindAStuckWatch(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.Holder("s1")
	a.Watch.Stalled = s.Now() + time.Minute
	s.Run(time.Second)
	s.deleteShardLease("s1")
	s.Until(time.Minute, func() bool { r := s.Holder("s1"); return r != nil && r != a })
	if s.Holder("s1") == nil {
		t.Fatal("nobody took it")
	}
}

func TestEverythingDeleted(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	for _, name := range s.Server.Names() {
		s.Server.Remove(name)
	}
	s.within(time.Second, "- -")
	s.stays(lease.Default.LeaseDuration-time.Second, "- -")
	s.Run(10 * time.Second)
	if a, b := len(s.replica("a").Terms), len(s.replica("b").Terms); a != 1 || b != 1 {
		t.Errorf("held by %s, want one each", s.Holders())
	}
}

func TestDeletedMemberLeaseMovesNothing(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4", "a", "b")
	before := s.Holders()
	s.Forget()
	s.deleteMemberLease("a")
	s.stays(30*time.Second, before)
	if s.Checks.Revoked+s.Checks.Passed > 0 {
		t.Errorf("%d revoked, %d passed on", s.Checks.Revoked, s.Checks.Passed)
	}
	if m, ok := s.member("a"); !ok || m.Holder != s.replica("a").Identity {
		t.Errorf("its record is %+v", m)
	}
}

// R5: a record that is gone proves nothing; one LeaseDuration has to pass.
func TestDeletedMemberLeaseOfACrashedReplica(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.Holder("s1")
	other := "a"
	if a.Name == "a" {
		other = "b"
	}
	a.Crash()
	s.Run(5 * time.Second)
	s.deleteMemberLease(a.Process.Pod)
	s.stays(lease.Default.LeaseDuration-time.Second, "-")
	s.within(3*time.Second, other)
}

func TestStuckWatchEndsTerms(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.Holder("s1")
	a.Watch.Stalled = s.Now() + time.Hour
	s.Until(time.Minute, func() bool { return !a.Holds("s1") })
	if s.Now() > 10*time.Second+lease.Default.RenewDeadline {
		t.Errorf("held until %s", s.Now())
	}
	t.Log("the others see its heartbeats go on, and its shard free all the same")
	s.Run(30 * time.Second)
	if r := s.Holder("s1"); r == nil || r == a {
		t.Errorf("held by %s, want the other one", s.Holders())
	}
}

func TestOutageOfTheAPIServer(t *testing.T) {
	for _, test := range []struct {
		outage  time.Duration
		revoked int
	}{
		{3 * time.Second, 0},
		{12 * time.Second, 6},
		{2 * time.Minute, 6},
	} {
		t.Run(test.outage.String(), func(t *testing.T) {
			s := settled(t, "s1 s2 s3 s4 s5 s6", "a", "b", "c")
			before := s.Holders()
			s.Forget()
			s.cut(test.outage, s.Alive()...)
			s.Run(test.outage)
			if s.Checks.Revoked != test.revoked {
				t.Errorf("%d terms were revoked, want %d", s.Checks.Revoked, test.revoked)
			}
			s.within(5*time.Second, before)
			s.stays(time.Minute, before)
			if n := s.Checks.Granted[lease.CauseReclaim]; n != test.revoked || len(s.Checks.Granted) > 1 {
				t.Errorf("gained by %v, want %d reclaims and nothing else", s.Checks.Granted, test.revoked)
			}
		})
	}
}

func TestForeignHolderIsRespected(t *testing.T) {
	s := installed(t, "s1")
	s.writeShard("s1", s.foreign(10))
	s.Start("a")
	for range 12 {
		s.stays(4*time.Second, "-")
		s.writeShard("s1", s.foreign(10)) // it renews
	}
	s.stays(10*time.Second, "-")
	s.within(2*time.Second, "a")
	if s.Checks.Granted[lease.CauseTakeOver] != 1 {
		t.Errorf("gained by %v, want a take-over", s.Checks.Granted)
	}
	if got := s.shard("s1"); !got.Session {
		t.Errorf("the record is %+v, want session mode", got)
	}
}

func TestForeignElectorNeverThinksASessionExpired(t *testing.T) {
	s := settled(t, "s1", "a")
	l := s.Server.Lease(lease.ShardLeaseName(sim.Group, "s1"))
	if d := time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second; d < 10*365*24*time.Hour {
		t.Errorf("by the standard rules the Lease expires after %s", d)
	}
}

func TestForeignElectorTakesAReleasedShard(t *testing.T) {
	s := settled(t, "s1", "a")
	a := s.replica("a")
	s.SetShards()
	a.Deliver(lease.Configured{})
	s.Run(time.Second)
	s.writeShard("s1", s.foreign(10)) // annotations stay, as client-go leaves them
	s.SetShards("s1")
	a.Deliver(lease.Configured{Shards: s.Config.Shards})
	s.stays(9*time.Second, "-")
	s.within(4*time.Second, "a")
}

func TestUnlabelledLeaseIsAdopted(t *testing.T) {
	s := installed(t, "s1")
	s.writeShard("s1", s.foreign(5))
	s.Server.Edit(lease.ShardLeaseName(sim.Group, "s1"), func(l *coordinationv1.Lease) { l.Labels = nil })
	s.Start("a")
	s.Run(time.Second)
	l := s.Server.Lease(lease.ShardLeaseName(sim.Group, "s1"))
	if l.Labels[lease.LabelGroup] != sim.Group || l.Labels[lease.LabelKind] != lease.KindShard || *l.Spec.HolderIdentity != "somebody-else" {
		t.Errorf("labels %v, holder %s: want it labelled and its holder untouched", l.Labels, *l.Spec.HolderIdentity)
	}
	s.stays(lease.Default.LeaseDuration-2*time.Second, "-")
	s.within(5*time.Second, "a")
}

func TestLabelsTakenAway(t *testing.T) {
	for _, what := range []string{"shard", "member", "layout"} {
		t.Run(what, func(t *testing.T) {
			s := settled(t, "s1 s2", "a", "b")
			before := s.Holders()
			name := map[string]string{
				"shard":  lease.ShardLeaseName(sim.Group, "s1"),
				"member": lease.MemberLeaseName(sim.Group, s.replica("a").Process),
				"layout": lease.LayoutLeaseName(sim.Group),
			}[what]
			s.Server.Edit(name, func(l *coordinationv1.Lease) { l.Labels = nil })
			s.Run(5 * time.Second)
			s.stays(time.Minute, before)
			if l := s.Server.Lease(name); l.Labels[lease.LabelGroup] != sim.Group {
				t.Errorf("labels %v: want the group's label back", l.Labels)
			}
		})
	}
}

func TestShardRemovedFromConfiguration(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	a := s.Holder("s1")
	var rest []lease.ShardSpec
	for _, spec := range s.Config.Shards {
		if spec.Name != "s1" {
			rest = append(rest, spec)
		}
	}
	a.Deliver(lease.Configured{Shards: rest})
	s.Until(5*time.Second, func() bool { return s.Holder("s1") != a && s.Holder("s1") != nil })
	if s.Holder("s1") == nil || s.Holder("s1") == a {
		t.Errorf("s1 is held by %s, want the one that still serves it", s.Holders())
	}
}

func TestTransferToAMemberThatDied(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b", "c")
	a := s.Holder("s1")
	var to *sim.Replica
	s.Fate = func(r *sim.Replica, op lease.Op) (sim.Fate, bool) {
		if r == a && op.Why == "hand over" && to == nil {
			id, err := lease.ParseIdentity(*op.Lease.Spec.HolderIdentity)
			if err != nil {
				t.Fatal(err)
			}
			to = s.replica(id.Pod)
			to.Crash()
		}
		return sim.Fate{}, false
	}
	a.Deliver(lease.Leave{})
	s.Run(time.Second)
	if to == nil {
		t.Fatal("nothing was handed over")
	}
	s.Run(lease.Default.LeaseDuration + 4*time.Second)
	if r := s.Holder("s1"); r == nil || r == a || r == to {
		t.Errorf("held by %s", s.Holders())
	}
}

func TestContainerRestartedInTheSamePodReclaims(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	before := s.Holders()
	old := s.replica("a")
	old.Crash()
	s.Run(time.Second)
	s.Restart(old)
	s.Forget()
	s.Until(time.Second, func() bool { return len(s.replica("a").Terms) == 1 })
	if s.Checks.Granted[lease.CauseReclaim] != 1 {
		t.Errorf("held by %s, gained by %v, want %s by a reclaim within a second", s.Holders(), s.Checks.Granted, before)
	}
}

// The others leave a free shard to the one that the plan gives it to, for a
// while.
func TestFreeShardIsTakenInTurn(t *testing.T) {
	for _, test := range []struct {
		name    string
		crashed int // how many die, the first of the plan last
		within  time.Duration
	}{
		{"the planned one takes it", 0, 10 * time.Millisecond},
		{"the next one in rank takes it", 1, 300 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := settled(t, "s1", "a", "b", "c")
			holder := s.Holder("s1")
			others := slices.DeleteFunc(s.Alive(), func(r *sim.Replica) bool { return r == holder })
			s.Config.Shards = nil
			holder.Deliver(lease.Configured{})
			planned := others[0].Election.Planned("s1")
			if test.crashed > 0 {
				for _, r := range others {
					if r.Identity == planned {
						r.Crash()
					}
				}
			}
			s.Forget()
			s.Until(time.Second, func() bool { return s.Checks.Passed == 1 })
			released := s.Now()
			s.Until(time.Second, func() bool { return s.Holder("s1") != nil })
			if took := s.Now() - released; took > test.within {
				t.Errorf("free for %s, want at most %s", took, test.within)
			}
			if n := s.Checks.Requests["claim"]; n != 1 {
				t.Errorf("%d replicas tried to take it, want 1", n)
			}
		})
	}
}

func TestReceivedShardIsNotMovedOnAtOnce(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4 s5 s6", "a")
	s.Start("b")
	s.Until(time.Second, func() bool { return len(s.replica("b").Terms) == 3 })
	received := s.Now()
	s.Start("c")
	b := len(s.replica("b").Terms)
	s.Until(5*time.Second, func() bool {
		return len(s.replica("b").Work) < b || s.Checks.Passed > 3 && len(s.replica("b").Terms) < b
	})
	if kept := s.Now() - received; kept < sim.Cooldown {
		t.Errorf("moved on after %s, want %s or more", kept, sim.Cooldown)
	}
	s.Run(5 * time.Second)
	for _, r := range s.Alive() {
		if len(r.Terms) != 2 {
			t.Errorf("%s holds %d shards, want 2", r.Name, len(r.Terms))
		}
	}
}

// Draining may take longer than the successor lives.
func TestSuccessorThatDiedWhileDraining(t *testing.T) {
	s := settled(t, "s1", "a", "b", "c")
	s.Faults.WorkReturns = sim.Exactly(30 * time.Second)
	holder := s.Holder("s1")
	holder.Deliver(lease.Leave{})
	successor := holder.Election.Successor("s1")
	for _, r := range s.Alive() {
		if r.Identity == successor {
			r.Crash()
		}
	}
	s.stays(30*time.Second-time.Millisecond, s.Holders())
	s.Forget()
	s.Run(10 * time.Millisecond)
	if r := s.Holder("s1"); r == nil || r == holder || s.Checks.Granted[lease.CauseTransfer] != 1 {
		t.Errorf("held by %s right after the work has ended, want the one that lives", s.Holders())
	}
}

// A write that is refused again and again, although nothing has changed, must
// not be repeated at the speed of the network.
func TestEndlessRefusalsAreSpacedOut(t *testing.T) {
	for _, outcome := range []lease.Outcome{lease.Conflict, lease.NotFound, lease.Throttled, lease.Rejected, lease.Unknown} {
		t.Run(outcome.String(), func(t *testing.T) {
			s := settled(t, "s1 s2", "a", "b")
			s.Fate = func(_ *sim.Replica, op lease.Op) (sim.Fate, bool) {
				return sim.Fate{Request: time.Millisecond, Reply: time.Millisecond, Refusal: outcome}, op.Verb != lease.Get
			}
			s.Forget()
			s.Run(time.Minute)
			n := 0
			for _, sent := range s.Checks.Requests {
				n += sent
			}
			if limit := 2 * 60 * 2 * 3; n > limit {
				t.Errorf("%d requests in a minute, want at most %d: %v", n, limit, s.Checks.Requests)
			}
			s.Fate = nil
			s.Run(lease.Default.LeaseDuration + 5*time.Second)
			if a, b := len(s.replica("a").Terms), len(s.replica("b").Terms); a != 1 || b != 1 {
				t.Errorf("held by %s, want one each", s.Holders())
			}
		})
	}
}

func TestUnreadyReplicaTakesNothing(t *testing.T) {
	s := installed(t, "s1")
	a := s.Start("a")
	a.Deliver(lease.Reported{Ready: false})
	s.stays(30*time.Second, "-")
	a.Deliver(lease.Reported{Ready: true})
	s.within(time.Second, "a")
}

func TestWorkThatNeverReturnsKeepsTheShard(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.Holder("s1")
	s.Faults.WorkReturns = sim.Exactly(time.Hour)
	before := s.Holders()
	a.Deliver(lease.Leave{})
	s.stays(2*time.Minute, before)
	if a.Left {
		t.Error("it has left")
	}
}

// The work of a term that lapsed may still go on while the shard is held again.
func TestWorkOfAnEarlierTermKeepsTheShard(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.Holder("s1")
	s.Faults.WorkReturns = sim.Exactly(30 * time.Second)
	a.Pause(12 * time.Second)
	s.Run(12 * time.Second)
	lapsed := s.Now()
	s.Faults.WorkReturns = sim.Calm.WorkReturns
	s.within(time.Second, a.Name)
	a.Deliver(lease.Leave{})
	s.Run(lapsed + 30*time.Second - s.Now() - time.Millisecond)
	if s.Checks.Passed > 0 {
		t.Errorf("passed on while the work of the term that lapsed goes on")
	}
	s.Run(10 * time.Millisecond)
	if r := s.Holder("s1"); r == nil || r == a {
		t.Errorf("held by %s once all work has ended, want the other one", s.Holders())
	}
}

// A term may be revoked while its record still names the session: the shard is
// given on, but not before the work has ended.
func TestWorkOfARevokedTermKeepsTheShard(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.Holder("s1")
	s.Faults.WorkReturns = sim.Exactly(20 * time.Second)
	s.Server.Edit(lease.ShardLeaseName(sim.Group, "s1"), func(l *coordinationv1.Lease) { l.Labels = nil })
	s.within(2*time.Millisecond, "-")
	revoked := s.Now()
	a.Deliver(lease.Leave{})
	s.stays(20*time.Second-time.Millisecond, "-")
	s.Run(10 * time.Millisecond)
	if r := s.Holder("s1"); r == nil || r == a {
		t.Errorf("held by %s %s after the term was revoked, want the other one", s.Holders(), s.Now()-revoked)
	}
}

func TestTakeOverWaitsForTheLeaseDurationOfTheHolder(t *testing.T) {
	s := installed(t, "s1")
	slow := s.Config
	slow.Timings = lease.Relaxed
	a := s.StartOn("a", sim.Clock{Offset: 1, Rate: 1000}, slow)
	s.within(time.Second, "a")
	s.Config.Timings = lease.Fast
	s.Start("b")
	s.Run(12 * time.Second) // a renews every 10 s
	s.cut(time.Hour, a)
	s.Until(time.Hour, func() bool { return !a.Holds("s1") })
	s.stays(lease.Relaxed.LeaseDuration-lease.Relaxed.RenewDeadline-time.Second, "-")
	s.within(3*time.Second, "b")
}

func TestOperatorsAnnotationDoesNotCostTheSession(t *testing.T) {
	s := settled(t, "s1", "a")
	for range 40 {
		s.Server.Edit(lease.MemberLeaseName(sim.Group, s.replica("a").Process), func(l *coordinationv1.Lease) {
			l.Annotations["example.com/note"] = fmt.Sprint(s.Now())
		})
		s.stays(700*time.Millisecond, "a")
	}
	s.Server.Edit(lease.ShardLeaseName(sim.Group, "s1"), func(l *coordinationv1.Lease) { l.Annotations["example.com/note"] = "x" })
	s.stays(10*time.Second, "a")
}

func TestRecordsOfTheDeadAreBuried(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	s.replica("a").Crash()
	s.Run((lease.BuryAfter + 3) * lease.Default.LeaseDuration)
	if m, ok := s.member("a"); ok {
		t.Errorf("its record is still there: %+v", m)
	}
	if n := s.Checks.Requests["bury"]; n != 1 {
		t.Errorf("%d requests to bury it, want 1", n)
	}
}

// A cache that is older than what any earlier holder wrote must not be acted on,
// also if the last of them wrote nothing.
func TestTransferCarriesTheNewestThatWasWritten(t *testing.T) {
	s := settled(t, "s1", "a", "b", "c")
	for i, wrote := range []map[string]string{
		{"things": "100", "others": "7"},
		nil,
		{"things": "120"},
	} {
		s.Wrote = func() map[string]string { return wrote }
		s.Holder("s1").Deliver(lease.Leave{})
		s.Run(time.Second)
		if i == 2 {
			s.Start("d")
			s.Run(time.Second)
		}
		want := []string{"100", "100", "120"}[i]
		if got := s.Holder("s1").Terms["s1"].Carried; got["things"] != want || got["others"] != "7" {
			t.Errorf("after %d hand-overs the term carries %v, want things at %s and others at 7", i+1, got, want)
		}
	}
}

// R6a: whoever has not seen anything for a while has not seen that somebody is
// silent.
func TestStaleViewEndsNobodysSession(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a, b := s.replica("a"), s.replica("b")
	s.Run(2500 * time.Millisecond)
	shown := s.Now()
	until := shown + 7700*time.Millisecond
	s.Fate = func(r *sim.Replica, _ lease.Op) (sim.Fate, bool) {
		return sim.Fate{Request: time.Millisecond, Reply: time.Millisecond, Refusal: lease.Unknown}, r == a && s.Now() < until
	}
	s.Run(until - s.Now() - 100*time.Millisecond)
	b.Watch.Stalled = shown + 15500*time.Millisecond
	s.stays(lease.Default.LeaseDuration, "a")
	if n := s.Checks.Requests["end session"]; n > 0 || incarnation(t, b) > 1 {
		t.Errorf("%d attempts to end the session of a; b goes on as %s", n, b.Identity)
	}
}

// R5: while the watch was away the record may have come and gone again.
func TestListRestartsTheWaitForAMissingRecord(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	a, b := s.replica("a"), s.replica("b")
	s.Run(1010 * time.Millisecond) // b has just renewed: it can do without its watch for a while
	s.deleteMemberLease("a")
	s.Run(time.Millisecond)
	b.Watch.BreakOff(8500*time.Millisecond, true)
	s.Run(8 * time.Second)
	a.Deliver(lease.Configured{Shards: s.Config.Shards}) // a renews
	s.Run(10 * time.Millisecond)
	if m, _ := s.member("a"); m.Holder != a.Identity {
		t.Fatalf("the record of a is %+v, want it made anew", m)
	}
	s.cut(time.Minute, a)
	s.deleteMemberLease("a")
	s.Run(12 * time.Second)
	if !b.Valid() || incarnation(t, b) != 1 {
		t.Error("the session of b has lapsed: this shows nothing")
	}
	s.within(lease.Default.LeaseDuration, "b b")
}

// R6b: the wait is that of the largest LeaseDuration, also if the record that
// told of it has been deleted together with the shard's.
func TestDeletedShardLeaseOfASlowerHolder(t *testing.T) {
	s := installed(t, "s1")
	slow := s.Config
	slow.Timings = lease.Relaxed
	a := s.StartOn("a", sim.Clock{Offset: 1, Rate: 1000}, slow)
	s.within(time.Second, "a")
	s.Config.Timings = lease.Fast
	s.Start("b")
	s.Run(20 * time.Second)
	s.cut(time.Hour, a)
	s.deleteMemberLease("a")
	s.deleteShardLease("s1")
	s.Run(2 * lease.Relaxed.LeaseDuration)
	if r := s.Holder("s1"); r == nil || r == a {
		t.Errorf("held by %s, want b", s.Holders())
	}
}

// R15: after an outage everybody gets the time to show that he is there.
func TestForeignHolderIsGivenTimeAfterAnOutage(t *testing.T) {
	s := installed(t, "s1")
	s.Start("a")
	s.writeShard("s1", s.foreign(10))
	for range 5 {
		s.Run(4 * time.Second)
		s.writeShard("s1", s.foreign(10))
	}
	s.cut(30*time.Second, s.replica("a"))
	s.Run(30 * time.Second)
	s.stays(5*time.Second, "-")
	for range 5 {
		s.writeShard("s1", s.foreign(10))
		s.stays(4*time.Second, "-")
	}
}

func TestForeignHolderWithoutDuration(t *testing.T) {
	s := settled(t, "s1", "a")
	s.writeShard("s1", func(l *coordinationv1.Lease) {
		s.foreign(0)(l)
		l.Spec.LeaseDurationSeconds = nil
	})
	s.within(time.Second, "-")
	s.stays(lease.Default.LeaseDuration-time.Second, "-")
	s.within(5*time.Second, "a")
}

// A request may be carried out long after everybody has given it up. When it
// creates the record anew, that must not end the session that came later.
func TestRecordMadeByALateRequestEndsNoLaterSession(t *testing.T) {
	s := installed(t, "s1")
	var late func()
	s.Fate = func(r *sim.Replica, op lease.Op) (sim.Fate, bool) {
		if r.Name != "a" || late != nil {
			return sim.Fate{}, false
		}
		late = func() { s.Server.Do(op) }
		return sim.Fate{Lost: true}, true
	}
	a := s.Start("a")
	s.cut(12*time.Second, a) // its first session never becomes valid
	s.within(time.Minute, "a")
	s.Start("b")
	s.Run(10 * time.Second)

	a.Watch.Stalled = s.Now() + time.Minute
	s.Run(10 * time.Millisecond)
	s.deleteMemberLease("a")
	late()
	s.Run(time.Minute)
	if s.Holder("s1") == nil {
		t.Error("nobody holds the shard")
	}
}

// The member Lease says who ends whose session; not whatever stands in it.
func TestMemberLeaseWithTheHolderOfAnotherEndsNothing(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	a, b := s.replica("a"), s.replica("b")
	a.Watch.Stalled = s.Now() + time.Minute
	s.Run(10 * time.Millisecond)
	s.Server.Edit(lease.MemberLeaseName(sim.Group, a.Process), func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = ptr.To(b.Identity)
	})
	if s.Until(time.Minute, func() bool { m, _ := s.member("a"); return m.Ended == b.Identity }) {
		t.Error("the record of a calls the session of b ended")
	}
}

func TestCopiedMemberLeaseIsNobody(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	before := s.Holders()
	copied := s.Server.Lease(lease.MemberLeaseName(sim.Group, s.replica("b").Process)).DeepCopy()
	copied.Name = sim.Group + ".member-copy.main"
	s.Server.Create(copied)
	s.Forget()
	s.stays(time.Minute, before)
	if len(s.Checks.Requests) != 1 {
		t.Errorf("the group sent %v, want heartbeats only", s.Checks.Requests)
	}
	s.replica("b").Crash()
	s.Forget()
	s.Run(time.Minute)
	if n := s.Checks.Requests["end session"]; n != 1 {
		t.Errorf("the session of b was ended %d times", n)
	}
}

// R6b holds for whoever made the Lease: its first holder may be gone long before
// the holder of the one that was deleted knows of it.
func TestShardLeaseMadeAnewByAForeignElector(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.Holder("s1")
	a.Watch.Stalled = s.Now() + time.Minute
	s.Run(10 * time.Millisecond)
	s.deleteShardLease("s1")
	s.writeShard("s1", func(l *coordinationv1.Lease) {
		s.foreign(1)(l)
		l.Spec.LeaseTransitions = ptr.To[int32](0)
		l.Labels = map[string]string{lease.LabelGroup: sim.Group, lease.LabelKind: lease.KindShard}
	})
	s.Run(time.Minute)
	if r := s.Holder("s1"); r == nil {
		t.Error("nobody holds the shard")
	}
}

// Creating a shard Lease grants nothing, whatever stands in it (R6b).
func TestShardLeaseRestoredFromABackup(t *testing.T) {
	for _, test := range []struct {
		name     string
		released bool
	}{
		{"naming a live session", false},
		{"released", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := settled(t, "s1 s2", "a")
			a := s.replica("a")
			backup := s.Server.Lease(lease.ShardLeaseName(sim.Group, "s1")).DeepCopy()
			if test.released {
				a.Deliver(lease.Configured{Shards: sim.Shards("s2")})
				s.Run(time.Second)
				backup = s.Server.Lease(lease.ShardLeaseName(sim.Group, "s1")).DeepCopy()
				a.Deliver(lease.Configured{Shards: s.Config.Shards})
				s.Run(time.Second)
			}
			b := s.Start("b")
			s.Run(10 * time.Second)
			if s.Holder("s1") == a {
				a.Deliver(lease.Configured{Shards: sim.Shards("s2")})
				s.Run(time.Second)
				a.Deliver(lease.Configured{Shards: s.Config.Shards})
				s.Run(10 * time.Second)
			}
			if s.Holder("s1") != b {
				t.Fatalf("held by %s, want s1 with b", s.Holders())
			}
			b.Watch.Stalled = s.Now() + time.Minute
			s.Run(10 * time.Millisecond)
			s.deleteShardLease("s1")
			s.Server.Create(backup)
			s.Run(time.Minute)
			if s.Holder("s1") == nil {
				t.Error("nobody holds the shard")
			}
		})
	}
}

func TestFastRefusalsDoNotSlowTheHeartbeatDown(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	before := s.Holders()
	s.Run(4990 * time.Millisecond) // just before a heartbeat of either
	end := s.Now() + 5*time.Second
	s.Fate = func(*sim.Replica, lease.Op) (sim.Fate, bool) {
		return sim.Fate{Request: time.Millisecond, Reply: time.Millisecond, Refusal: lease.Unknown}, s.Now() < end
	}
	s.stays(30*time.Second, before)
}

// The second in which a Lease was created is part of the fencing token; a Lease
// made anew within it goes on at the epoch of the one before (R7).
func TestTokenOfALeaseDeletedInTheSecondOfItsCreation(t *testing.T) {
	s := installed(t, "s1")
	s.Start("a")
	s.within(500*time.Millisecond, "a")
	s.deleteShardLease("s1")
	s.Run(time.Minute)
	if s.Holder("s1") == nil {
		t.Error("nobody holds it")
	}
}

// What the work of a term wrote is handed on, though the term was revoked before
// that work had ended.
func TestWroteOfARevokedTermIsCarried(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.Holder("s1")
	s.Wrote = func() map[string]string { return map[string]string{"things": "100"} }
	s.Faults.WorkReturns = sim.Exactly(2 * time.Second)
	s.Server.Edit(lease.ShardLeaseName(sim.Group, "s1"), func(l *coordinationv1.Lease) { l.Labels = nil })
	s.within(2*time.Millisecond, "-")
	a.Deliver(lease.Leave{})
	s.Run(3 * time.Second)
	r := s.Holder("s1")
	if r == nil || r == a {
		t.Fatalf("held by %s", s.Holders())
	}
	if got := r.Terms["s1"].Carried["things"]; got != "100" {
		t.Errorf("carried %q, want 100", got)
	}
}

func TestWroteOfALapsedTermIsCarriedInLeaseMode(t *testing.T) {
	s := newScenario(t, "s1")
	s.Config.Mode = lease.LeaseMode
	s.InstallLayout()
	a := s.Start("a")
	s.within(time.Second, "a")
	s.Wrote = func() map[string]string { return map[string]string{"things": "100"} }
	name := lease.ShardLeaseName(sim.Group, "s1")
	until := s.Now() + 11*time.Second
	s.Fate = func(_ *sim.Replica, op lease.Op) (sim.Fate, bool) {
		return sim.Fate{Request: time.Millisecond, Reply: time.Millisecond, Refusal: lease.Unknown}, op.Name == name && s.Now() < until
	}
	s.Until(time.Minute, func() bool { return !a.Holds("s1") })
	s.Run(5 * time.Second)
	if r := s.Holder("s1"); r == nil || r.Terms["s1"].Carried["things"] != "100" {
		t.Errorf("carried %v, want 100", r.Terms["s1"].Carried)
	}
}

// R6b waits for as long as any holder may go on, one of another kind included.
func TestDeletedLeaseOfAForeignHolderWithALongDuration(t *testing.T) {
	s := installed(t, "s1")
	s.Config.Mode = lease.LeaseMode
	s.Start("a")
	s.Run(100 * time.Millisecond)
	s.writeShard("s1", s.foreign(60))
	s.Run(5 * time.Second)
	s.writeShard("s1", s.foreign(60))
	s.Run(time.Second)
	s.deleteShardLease("s1")
	at := s.Now()
	s.Until(2*time.Minute, func() bool { return s.Holder("s1") != nil })
	if took := s.Now() - at; took < 40*time.Second {
		t.Errorf("claimed %s after the Lease of a foreign holder with 60 s/40 s was deleted", took)
	}
}

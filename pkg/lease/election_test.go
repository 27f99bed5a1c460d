// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
)

func TestColdStartOfInstalledGroupNeedsNoWait(t *testing.T) {
	s := installed(t, "s1", "s2")
	s.start("a")
	s.within(time.Second, "a a")
	if s.checks.granted[CauseVacant] != 2 {
		t.Errorf("terms were gained by %v, want 2 of vacant shards", s.checks.granted)
	}
	s.matchTranscript("cold-start-installed")
}

func TestColdStartWithoutLayoutWaitsOnce(t *testing.T) {
	s := newScenario(t, "s1", "s2")
	s.start("a")
	s.stays(Default.LeaseDuration, "- -")
	s.within(time.Second, "a a")
	s.matchTranscript("cold-start-bare")

	t.Log("the group is known now: a new shard needs no wait")
	s.setShards("s1", "s2", "s3")
	s.replica("a").deliver(Configured{Shards: s.config.Shards})
	s.within(time.Second, "a a a")
}

func TestStartersTogetherShare(t *testing.T) {
	s := installed(t, "s1", "s2", "s3", "s4", "s5", "s6")
	for _, pod := range []string{"a", "b", "c"} {
		s.start(pod)
	}
	s.run(10 * time.Second)
	for _, r := range s.alive() {
		if n := len(r.terms); n != 2 {
			t.Errorf("%s holds %d shards, want 2", r.name, n)
		}
	}
}

func TestJoinSpreads(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4", "a")
	s.forget()
	s.start("b")
	s.run(10 * time.Second)
	if a, b := len(s.replica("a").terms), len(s.replica("b").terms); a != 2 || b != 2 {
		t.Errorf("a holds %d and b %d, want 2 each", a, b)
	}
	if s.checks.passed != 2 || s.checks.revoked != 0 {
		t.Errorf("%d shards were passed on and %d revoked, want 2 and 0", s.checks.passed, s.checks.revoked)
	}
	s.matchTranscript("join")
}

func TestSteadyGroupSendsOnlyHeartbeats(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4", "a", "b", "c")
	s.run(10 * time.Second)
	s.forget()
	s.run(time.Minute)
	if len(s.checks.requests) != 1 || s.checks.requests["heartbeat"] != 3*20 {
		t.Errorf("in a minute the group sent %v, want 60 heartbeats", s.checks.requests)
	}
}

func TestLeavingHandsOver(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	a := s.replica("a")
	s.faults.workReturns = span{2 * time.Second, 2 * time.Second}
	s.forget()
	a.deliver(Leave{})

	t.Log("it holds the shard for as long as its work goes on")
	s.stays(1999*time.Millisecond, s.holders())
	gap := s.within(time.Second, "b b")
	if limit := 1*time.Millisecond + 2*time.Millisecond; gap > limit {
		t.Errorf("nobody held the shard for %s, want %s: one request and one event", gap, limit)
	}
	s.run(time.Second)
	if _, ok := s.member("a"); ok || !a.left {
		t.Errorf("left: %t, member Lease there: %t", a.left, ok)
	}
	if s.checks.passed != 1 || s.checks.granted[CauseTransfer] != 1 {
		t.Errorf("passed on: %d, gained: %v, want one transfer", s.checks.passed, s.checks.granted)
	}
	s.matchTranscript("leave")
}

func TestLastOneLeavingReleases(t *testing.T) {
	s := settled(t, "s1 s2", "a")
	s.replica("a").deliver(Leave{})
	s.run(time.Second)
	for _, shard := range []string{"s1", "s2"} {
		if got := s.shard(shard); got.Holder != "" || got.Session || got.Duration != time.Second {
			t.Errorf("%s is left as %+v, want it released with a duration of 1 s", shard, got)
		}
	}

	t.Log("the next one needs no wait")
	s.start("b")
	s.within(time.Second, "b b")
}

// A session that tells the others that it has ended may be taken over from at
// once: it must not begin anything any more.
func TestTransferToWhoeverIsJustLeavingBeginsNothing(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	from, to := s.replica("a"), s.replica("b")
	if s.holder("s1") != from {
		from, to = to, from
	}
	to.cutReplies = s.now + time.Hour // it cannot delete its record
	to.deliver(Leave{})
	if !s.until(10*time.Second, func() bool { m, _ := s.member(to.replica.Pod); return m.Ended == to.election.Identity() }) {
		t.Fatal("it does not end its session")
	}
	known := from.election.shardEntry("s1")
	op := from.election.holderOp(from.election.claims["s1"], known, to.election.Identity(), nil, "a transfer from before")
	from.crash()
	s.server.do(s.now, op)
	s.run(time.Second)
	if len(to.terms) > 0 || s.shard("s1").Holder != to.election.Identity() {
		t.Errorf("the record names %s; terms begun: %v, want none", s.shard("s1").Holder, to.terms)
	}
}

// Whoever leaves removes its record; a shard that was given to it too late is
// free all the same, at once.
func TestTransferToWhoeverHasLeftIsTaken(t *testing.T) {
	s := settled(t, "s1", "a", "b", "c")
	from := s.holder("s1")
	others := slices.DeleteFunc(s.alive(), func(r *modelReplica) bool { return r == from })
	to, next := others[0], others[1]
	op := from.election.holderOp(from.election.claims["s1"], from.election.shardEntry("s1"), to.election.Identity(), nil, "a transfer from before")
	to.deliver(Leave{})
	s.run(time.Second)
	if _, ok := s.member(to.replica.Pod); ok || !to.left {
		t.Fatal("it has not left")
	}
	from.crash()
	s.server.do(s.now, op)
	s.within(time.Second, next.name)
}

func TestCrashIsTakenOverFrom(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	s.forget()
	a := s.replica("a")
	s.until(10*time.Second, func() bool { return a.rates.requests != nil && a.rates.requests[len(a.rates.requests)-1] == s.now })
	lastRenewal := s.now
	s.run(2 * time.Second)
	a.crash()
	s.within(time.Minute, "b b")
	if took := s.now - lastRenewal; took < Default.LeaseDuration || took > Default.LeaseDuration+time.Second {
		t.Errorf("held again %s after the last renewal, want %s and at most a second", took, Default.LeaseDuration)
	}
	if s.checks.granted[CauseTakeOver] != 1 {
		t.Errorf("gained by %v, want one take-over", s.checks.granted)
	}
	s.matchTranscript("take-over")
}

func TestCrashOfTheOtherHalfTakesNothingElse(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4 s5 s6", "a", "b", "c")
	before := s.holders()
	s.replica("c").crash()
	s.forget()
	s.run(20 * time.Second)
	for _, r := range s.alive() {
		if len(r.terms) != 3 {
			t.Errorf("%s holds %d shards, want 3", r.name, len(r.terms))
		}
	}
	if s.checks.passed+s.checks.revoked > 0 || s.checks.granted[CauseTakeOver] != 2 {
		t.Errorf("from %s to %s: %d passed on, %d revoked, gained %v: want two taken over and nothing else",
			before, s.holders(), s.checks.passed, s.checks.revoked, s.checks.granted)
	}
}

func TestPauseBeyondValidityEndsTheSession(t *testing.T) {
	for _, test := range []struct {
		name  string
		pause time.Duration
		alone bool
		want  Cause // how the shard is gained next
	}{
		{"others have taken over", 20 * time.Second, false, CauseTakeOver},
		{"nobody is there to take over", 20 * time.Second, true, CauseReclaim},
		{"before anybody may take over", 12 * time.Second, false, CauseReclaim},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := settled(t, "s1", "a")
			a := s.replica("a")
			if !test.alone {
				s.start("b")
				s.run(5 * time.Second)
			}
			before := a.election.Identity()
			epoch := s.shard("s1").Epoch
			s.forget()
			a.pause(test.pause)
			s.run(test.pause + 5*time.Second)
			if s.checks.revoked != 1 {
				t.Errorf("%d terms were revoked, want 1", s.checks.revoked)
			}
			if a.election.Identity() == before {
				t.Errorf("it goes on as %s, an identity that is over", before)
			}
			if s.checks.granted[test.want] != 1 || s.shard("s1").Epoch != epoch+1 {
				t.Errorf("gained by %v at epoch %d, want %s at %d", s.checks.granted, s.shard("s1").Epoch, test.want, epoch+1)
			}
		})
	}
}

func TestPauseShorterThanValidityChangesNothing(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	before := s.holders()
	s.forget()
	s.holder("s1").pause(5 * time.Second)
	s.stays(20*time.Second, before)
	if s.checks.revoked+s.checks.passed > 0 {
		t.Errorf("%d revoked, %d passed on", s.checks.revoked, s.checks.passed)
	}
}

func TestLostRepliesOfHeartbeatsDoNotMatter(t *testing.T) {
	s := settled(t, "s1", "a")
	s.replica("a").cutReplies = s.now + time.Minute
	s.stays(time.Minute, "a")
}

func TestLostReplyOfAClaimIsLearnedFromTheWatch(t *testing.T) {
	s := installed(t, "s1")
	s.fate = func(_ *modelReplica, op Op) (fate, bool) {
		return fate{request: time.Millisecond, mute: true}, op.Why == "claim"
	}
	s.start("a")
	s.within(time.Second, "a")
	if s.checks.requests["claim"] != 1 {
		t.Errorf("%d claims, want 1", s.checks.requests["claim"])
	}
}

// R2: whatever becomes of the request that gives a shard away, its term is over
// once it is sent.
func TestTransferWhoseOutcomeIsUnknown(t *testing.T) {
	for _, test := range []struct {
		name string
		fate fate
	}{
		{"carried out, reply lost", fate{request: time.Millisecond, mute: true}},
		{"carried out late", fate{request: 8 * time.Second, mute: true}},
		{"lost", fate{lost: true}},
		{"refused", fate{request: time.Millisecond, reply: time.Millisecond, refusal: Throttled}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := settled(t, "s1 s2", "a")
			a := s.replica("a")
			first := true
			s.fate = func(_ *modelReplica, op Op) (fate, bool) {
				if op.Why != "hand over" || !first {
					return fate{}, false
				}
				first = false
				s.checkOver(a, "as its transfer is sent")
				return test.fate, true
			}
			s.start("b")
			s.run(30 * time.Second)
			if len(a.terms) != 1 || len(s.replica("b").terms) != 1 {
				t.Errorf("held by %s, want one each", s.holders())
			}
			if first {
				t.Error("nothing was handed over")
			}
		})
	}
}

// checkOver fails if more than one of the two shards is still held.
func (s *scenario) checkOver(r *modelReplica, when string) {
	s.t.Helper()
	if len(r.terms) != 1 {
		s.t.Errorf("%s: %s holds %d shards, want 1", when, r.name, len(r.terms))
	}
}

// Validity counts from the send: were it counted from the reply or from the
// event, a slow network followed by a partition would give two holders.
func TestSlowHeartbeatThenPartition(t *testing.T) {
	s := installed(t, "s1")
	slow := modelClock{offset: Instant(time.Hour), rate: 820}
	fast := modelClock{offset: Instant(time.Minute), rate: 1340} // 1.63 times as fast
	a := s.startOn("a", "uid-of-a", slow, s.config)
	s.within(2*time.Second, "a")
	s.startOn("b", "uid-of-b", fast, s.config)
	s.run(10 * time.Second)

	var sent time.Duration
	s.fate = func(r *modelReplica, op Op) (fate, bool) {
		if r != a || op.Why != "heartbeat" || sent != 0 {
			return fate{}, false
		}
		sent = s.now
		a.watch.stalled = s.now + 2500*time.Millisecond
		return fate{request: time.Millisecond, reply: 2500 * time.Millisecond}, true
	}
	s.until(10*time.Second, func() bool { return sent != 0 && s.now > sent+2600*time.Millisecond })
	s.cut(time.Minute, a)
	s.until(time.Minute, func() bool { return !a.holds("s1") })
	if held := s.now - sent; held > slow.when(slow.at(0).Add(Default.RenewDeadline)) {
		t.Errorf("held for %s after the heartbeat was sent, by true time", held)
	}
	s.within(time.Minute, "b")
}

func TestDeletedShardLease(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	holder := s.holder("s1").name
	s.forget()
	s.deleteShardLease("s1")
	s.within(2*time.Millisecond, "-")
	if s.checks.revoked != 1 {
		t.Errorf("%d terms were revoked, want 1", s.checks.revoked)
	}
	s.stays(Default.LeaseDuration, "-")
	s.run(time.Second)
	if s.holder("s1") == nil {
		t.Errorf("nobody holds it after a LeaseDuration; before: %s", holder)
	}
	s.matchTranscript("deleted-shard")
}

func TestShardLeaseDeletedBehindAStuckWatch(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.holder("s1")
	a.watch.stalled = s.now + time.Minute
	s.run(time.Second)
	s.deleteShardLease("s1")
	s.until(time.Minute, func() bool { r := s.holder("s1"); return r != nil && r != a })
	if s.holder("s1") == nil {
		t.Fatal("nobody took it")
	}
}

func TestEverythingDeleted(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	for _, name := range sortedKeys(s.server.leases) {
		s.server.remove(name)
	}
	s.within(time.Second, "- -")
	s.stays(Default.LeaseDuration-time.Second, "- -")
	s.run(10 * time.Second)
	if a, b := len(s.replica("a").terms), len(s.replica("b").terms); a != 1 || b != 1 {
		t.Errorf("held by %s, want one each", s.holders())
	}
}

func TestDeletedMemberLeaseMovesNothing(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4", "a", "b")
	before := s.holders()
	s.forget()
	s.deleteMemberLease("a")
	s.stays(30*time.Second, before)
	if s.checks.revoked+s.checks.passed > 0 {
		t.Errorf("%d revoked, %d passed on", s.checks.revoked, s.checks.passed)
	}
	if m, ok := s.member("a"); !ok || m.Holder != s.replica("a").election.Identity() {
		t.Errorf("its record is %+v", m)
	}
}

// R5: a record that is gone proves nothing; one LeaseDuration has to pass.
func TestDeletedMemberLeaseOfACrashedReplica(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.holder("s1")
	other := "a"
	if a.name == "a" {
		other = "b"
	}
	a.crash()
	s.run(5 * time.Second)
	s.deleteMemberLease(a.replica.Pod)
	s.stays(Default.LeaseDuration-time.Second, "-")
	s.within(3*time.Second, other)
}

func TestStuckWatchEndsTerms(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.holder("s1")
	a.watch.stalled = s.now + time.Hour
	s.until(time.Minute, func() bool { return !a.holds("s1") })
	if s.now > 10*time.Second+Default.RenewDeadline {
		t.Errorf("held until %s", s.now)
	}
	t.Log("the others see its heartbeats go on, and its shard free all the same")
	s.run(30 * time.Second)
	if r := s.holder("s1"); r == nil || r == a {
		t.Errorf("held by %s, want the other one", s.holders())
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
			before := s.holders()
			s.forget()
			s.cut(test.outage, s.alive()...)
			s.run(test.outage)
			if s.checks.revoked != test.revoked {
				t.Errorf("%d terms were revoked, want %d", s.checks.revoked, test.revoked)
			}
			s.within(5*time.Second, before)
			s.stays(time.Minute, before)
			if n := s.checks.granted[CauseReclaim]; n != test.revoked || len(s.checks.granted) > 1 {
				t.Errorf("gained by %v, want %d reclaims and nothing else", s.checks.granted, test.revoked)
			}
		})
	}
}

func TestForeignHolderIsRespected(t *testing.T) {
	s := installed(t, "s1")
	s.writeShard("s1", s.foreign(10))
	s.start("a")
	for range 12 {
		s.stays(4*time.Second, "-")
		s.writeShard("s1", s.foreign(10)) // it renews
	}
	s.stays(10*time.Second, "-")
	s.within(2*time.Second, "a")
	if s.checks.granted[CauseTakeOver] != 1 {
		t.Errorf("gained by %v, want a take-over", s.checks.granted)
	}
	if got := s.shard("s1"); !got.Session {
		t.Errorf("the record is %+v, want session mode", got)
	}
}

func TestForeignElectorNeverThinksASessionExpired(t *testing.T) {
	s := settled(t, "s1", "a")
	l := s.server.leases[ShardLeaseName(modelGroup, "s1")]
	if d := time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second; d < 10*365*24*time.Hour {
		t.Errorf("by the standard rules the Lease expires after %s", d)
	}
}

func TestForeignElectorTakesAReleasedShard(t *testing.T) {
	s := settled(t, "s1", "a")
	a := s.replica("a")
	s.setShards()
	a.deliver(Configured{})
	s.run(time.Second)
	s.writeShard("s1", s.foreign(10)) // annotations stay, as client-go leaves them
	s.setShards("s1")
	a.deliver(Configured{Shards: s.config.Shards})
	s.stays(9*time.Second, "-")
	s.within(4*time.Second, "a")
}

func TestUnlabelledLeaseIsAdopted(t *testing.T) {
	s := installed(t, "s1")
	s.writeShard("s1", s.foreign(5))
	s.server.edit(ShardLeaseName(modelGroup, "s1"), func(l *coordinationv1.Lease) { l.Labels = nil })
	s.start("a")
	s.run(time.Second)
	l := s.server.leases[ShardLeaseName(modelGroup, "s1")]
	if l.Labels[LabelGroup] != modelGroup || l.Labels[LabelKind] != KindShard || *l.Spec.HolderIdentity != "somebody-else" {
		t.Errorf("labels %v, holder %s: want it labelled and its holder untouched", l.Labels, *l.Spec.HolderIdentity)
	}
	s.stays(Default.LeaseDuration-2*time.Second, "-")
	s.within(5*time.Second, "a")
}

func TestLabelsTakenAway(t *testing.T) {
	for _, what := range []string{"shard", "member", "layout"} {
		t.Run(what, func(t *testing.T) {
			s := settled(t, "s1 s2", "a", "b")
			before := s.holders()
			name := map[string]string{
				"shard":  ShardLeaseName(modelGroup, "s1"),
				"member": MemberLeaseName(modelGroup, s.replica("a").replica),
				"layout": LayoutLeaseName(modelGroup),
			}[what]
			s.server.edit(name, func(l *coordinationv1.Lease) { l.Labels = nil })
			s.run(5 * time.Second)
			s.stays(time.Minute, before)
			if l := s.server.leases[name]; l.Labels[LabelGroup] != modelGroup {
				t.Errorf("labels %v: want the group's label back", l.Labels)
			}
		})
	}
}

func TestShardRemovedFromConfiguration(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	a := s.holder("s1")
	var rest []ShardSpec
	for _, spec := range s.config.Shards {
		if spec.Name != "s1" {
			rest = append(rest, spec)
		}
	}
	a.deliver(Configured{Shards: rest})
	s.until(5*time.Second, func() bool { return s.holder("s1") != a && s.holder("s1") != nil })
	if s.holder("s1") == nil || s.holder("s1") == a {
		t.Errorf("s1 is held by %s, want the one that still serves it", s.holders())
	}
}

func TestTransferToAMemberThatDied(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b", "c")
	a := s.holder("s1")
	var to *modelReplica
	s.fate = func(r *modelReplica, op Op) (fate, bool) {
		if r == a && op.Why == "hand over" && to == nil {
			id, err := ParseIdentity(*op.Lease.Spec.HolderIdentity)
			if err != nil {
				t.Fatal(err)
			}
			to = s.replica(id.Pod)
			to.crash()
		}
		return fate{}, false
	}
	a.deliver(Leave{})
	s.run(time.Second)
	if to == nil {
		t.Fatal("nothing was handed over")
	}
	s.run(Default.LeaseDuration + 4*time.Second)
	if r := s.holder("s1"); r == nil || r == a || r == to {
		t.Errorf("held by %s", s.holders())
	}
}

func TestContainerRestartedInTheSamePodReclaims(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	before := s.holders()
	old := s.replica("a")
	old.crash()
	s.run(time.Second)
	s.restart(old)
	s.forget()
	s.until(time.Second, func() bool { return len(s.replica("a").terms) == 1 })
	if s.checks.granted[CauseReclaim] != 1 {
		t.Errorf("held by %s, gained by %v, want %s by a reclaim within a second", s.holders(), s.checks.granted, before)
	}
	s.matchTranscript("restart")
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
			holder := s.holder("s1")
			others := slices.DeleteFunc(s.alive(), func(r *modelReplica) bool { return r == holder })
			s.config.Shards = nil
			holder.deliver(Configured{})
			planned := others[0].election.plan()["s1"]
			if test.crashed > 0 {
				for _, r := range others {
					if r.election.Identity() == planned {
						r.crash()
					}
				}
			}
			s.forget()
			s.until(time.Second, func() bool { return s.checks.passed == 1 })
			released := s.now
			s.until(time.Second, func() bool { return s.holder("s1") != nil })
			if took := s.now - released; took > test.within {
				t.Errorf("free for %s, want at most %s", took, test.within)
			}
			if n := s.checks.requests["claim"]; n != 1 {
				t.Errorf("%d replicas tried to take it, want 1", n)
			}
		})
	}
}

func TestReceivedShardIsNotMovedOnAtOnce(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4 s5 s6", "a")
	s.start("b")
	s.until(time.Second, func() bool { return len(s.replica("b").terms) == 3 })
	received := s.now
	s.start("c")
	b := len(s.replica("b").terms)
	s.until(5*time.Second, func() bool {
		return len(s.replica("b").work) < b || s.checks.passed > 3 && len(s.replica("b").terms) < b
	})
	if kept := s.now - received; kept < defaultCooldown {
		t.Errorf("moved on after %s, want %s or more", kept, defaultCooldown)
	}
	s.run(5 * time.Second)
	for _, r := range s.alive() {
		if len(r.terms) != 2 {
			t.Errorf("%s holds %d shards, want 2", r.name, len(r.terms))
		}
	}
}

// Draining may take longer than the successor lives.
func TestSuccessorThatDiedWhileDraining(t *testing.T) {
	s := settled(t, "s1", "a", "b", "c")
	s.faults.workReturns = span{30 * time.Second, 30 * time.Second}
	holder := s.holder("s1")
	holder.deliver(Leave{})
	successor := holder.election.claims["s1"].successor
	for _, r := range s.alive() {
		if r.election.Identity() == successor {
			r.crash()
		}
	}
	s.stays(30*time.Second-time.Millisecond, s.holders())
	s.forget()
	s.run(10 * time.Millisecond)
	if r := s.holder("s1"); r == nil || r == holder || s.checks.granted[CauseTransfer] != 1 {
		t.Errorf("held by %s right after the work has ended, want the one that lives", s.holders())
	}
}

// A write that is refused again and again, although nothing has changed, must
// not be repeated at the speed of the network.
func TestEndlessRefusalsAreSpacedOut(t *testing.T) {
	for _, outcome := range []Outcome{Conflict, NotFound, Throttled, Rejected, Unknown} {
		t.Run(outcome.String(), func(t *testing.T) {
			s := settled(t, "s1 s2", "a", "b")
			s.fate = func(_ *modelReplica, op Op) (fate, bool) {
				return fate{request: time.Millisecond, reply: time.Millisecond, refusal: outcome}, op.Verb != Get
			}
			s.forget()
			s.run(time.Minute)
			n := 0
			for _, sent := range s.checks.requests {
				n += sent
			}
			if limit := 2 * 60 * 2 * 3; n > limit {
				t.Errorf("%d requests in a minute, want at most %d: %v", n, limit, s.checks.requests)
			}
			s.fate = nil
			s.run(Default.LeaseDuration + 5*time.Second)
			if a, b := len(s.replica("a").terms), len(s.replica("b").terms); a != 1 || b != 1 {
				t.Errorf("held by %s, want one each", s.holders())
			}
		})
	}
}

func TestUnreadyReplicaTakesNothing(t *testing.T) {
	s := installed(t, "s1")
	a := s.start("a")
	a.deliver(Reported{Ready: false})
	s.stays(30*time.Second, "-")
	a.deliver(Reported{Ready: true})
	s.within(time.Second, "a")
}

func TestWorkThatNeverReturnsKeepsTheShard(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.holder("s1")
	s.faults.workReturns = span{time.Hour, time.Hour}
	before := s.holders()
	a.deliver(Leave{})
	s.stays(2*time.Minute, before)
	if a.left {
		t.Error("it has left")
	}
}

// The work of a term that lapsed may still go on while the shard is held again.
func TestWorkOfAnEarlierTermKeepsTheShard(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.holder("s1")
	s.faults.workReturns = span{30 * time.Second, 30 * time.Second}
	a.pause(12 * time.Second)
	s.run(12 * time.Second)
	lapsed := s.now
	s.faults.workReturns = calm.workReturns
	s.within(time.Second, a.name)
	a.deliver(Leave{})
	s.run(lapsed + 30*time.Second - s.now - time.Millisecond)
	if s.checks.passed > 0 {
		t.Errorf("passed on while the work of the term that lapsed goes on")
	}
	s.run(10 * time.Millisecond)
	if r := s.holder("s1"); r == nil || r == a {
		t.Errorf("held by %s once all work has ended, want the other one", s.holders())
	}
}

// A term may be revoked while its record still names the session: the shard is
// given on, but not before the work has ended.
func TestWorkOfARevokedTermKeepsTheShard(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.holder("s1")
	s.faults.workReturns = span{20 * time.Second, 20 * time.Second}
	s.server.edit(ShardLeaseName(modelGroup, "s1"), func(l *coordinationv1.Lease) { l.Labels = nil })
	s.within(2*time.Millisecond, "-")
	revoked := s.now
	a.deliver(Leave{})
	s.stays(20*time.Second-time.Millisecond, "-")
	s.run(10 * time.Millisecond)
	if r := s.holder("s1"); r == nil || r == a {
		t.Errorf("held by %s %s after the term was revoked, want the other one", s.holders(), s.now-revoked)
	}
}

func TestTakeOverWaitsForTheLeaseDurationOfTheHolder(t *testing.T) {
	s := installed(t, "s1")
	slow := s.config
	slow.Timings = Relaxed
	a := s.startOn("a", "uid-of-a", modelClock{offset: 1, rate: 1000}, slow)
	s.within(time.Second, "a")
	s.config.Timings = Fast
	s.start("b")
	s.run(12 * time.Second) // a renews every 10 s
	s.cut(time.Hour, a)
	s.until(time.Hour, func() bool { return !a.holds("s1") })
	s.stays(Relaxed.LeaseDuration-Relaxed.RenewDeadline-time.Second, "-")
	s.within(3*time.Second, "b")
}

func TestOperatorsAnnotationDoesNotCostTheSession(t *testing.T) {
	s := settled(t, "s1", "a")
	for range 40 {
		s.server.edit(MemberLeaseName(modelGroup, s.replica("a").replica), func(l *coordinationv1.Lease) {
			l.Annotations["example.com/note"] = fmt.Sprint(s.now)
		})
		s.stays(700*time.Millisecond, "a")
	}
	s.server.edit(ShardLeaseName(modelGroup, "s1"), func(l *coordinationv1.Lease) { l.Annotations["example.com/note"] = "x" })
	s.stays(10*time.Second, "a")
}

func TestRecordsOfTheDeadAreBuried(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	s.replica("a").crash()
	s.run((buryAfter + 3) * Default.LeaseDuration)
	if m, ok := s.member("a"); ok {
		t.Errorf("its record is still there: %+v", m)
	}
	if n := s.checks.requests["bury"]; n != 1 {
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
		s.wrote = func() map[string]string { return wrote }
		s.holder("s1").deliver(Leave{})
		s.run(time.Second)
		if i == 2 {
			s.start("d")
			s.run(time.Second)
		}
		want := []string{"100", "100", "120"}[i]
		if got := s.holder("s1").terms["s1"].Carried; got["things"] != want || got["others"] != "7" {
			t.Errorf("after %d hand-overs the term carries %v, want things at %s and others at 7", i+1, got, want)
		}
	}
}

// R6a: whoever has not seen anything for a while has not seen that somebody is
// silent.
func TestStaleViewEndsNobodysSession(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a, b := s.replica("a"), s.replica("b")
	s.run(2500 * time.Millisecond)
	shown := s.now
	until := shown + 7700*time.Millisecond
	s.fate = func(r *modelReplica, _ Op) (fate, bool) {
		return fate{request: time.Millisecond, reply: time.Millisecond, refusal: Unknown}, r == a && s.now < until
	}
	s.run(until - s.now - 100*time.Millisecond)
	b.watch.stalled = shown + 15500*time.Millisecond
	s.stays(Default.LeaseDuration, "a")
	if n := s.checks.requests["end session"]; n > 0 || b.election.session.identity.Incarnation > 1 {
		t.Errorf("%d attempts to end the session of a; b goes on as %s", n, b.election.Identity())
	}
}

// R5: while the watch was away the record may have come and gone again.
func TestListRestartsTheWaitForAMissingRecord(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	a, b := s.replica("a"), s.replica("b")
	s.run(1010 * time.Millisecond) // b has just renewed: it can do without its watch for a while
	s.deleteMemberLease("a")
	s.run(time.Millisecond)
	b.watch.breakOff(8500*time.Millisecond, true)
	s.run(8 * time.Second)
	a.deliver(Configured{Shards: s.config.Shards}) // a renews
	s.run(10 * time.Millisecond)
	if m, _ := s.member("a"); m.Holder != a.election.Identity() {
		t.Fatalf("the record of a is %+v, want it made anew", m)
	}
	s.cut(time.Minute, a)
	s.deleteMemberLease("a")
	s.run(12 * time.Second)
	if !b.election.Valid(b.clock.at(s.now)) || b.election.session.identity.Incarnation != 1 {
		t.Error("the session of b has lapsed: this shows nothing")
	}
	s.within(Default.LeaseDuration, "b b")
}

// R6b: the wait is that of the largest LeaseDuration, also if the record that
// told of it has been deleted together with the shard's.
func TestDeletedShardLeaseOfASlowerHolder(t *testing.T) {
	s := installed(t, "s1")
	slow := s.config
	slow.Timings = Relaxed
	a := s.startOn("a", "uid-of-a", modelClock{offset: 1, rate: 1000}, slow)
	s.within(time.Second, "a")
	s.config.Timings = Fast
	s.start("b")
	s.run(20 * time.Second)
	s.cut(time.Hour, a)
	s.deleteMemberLease("a")
	s.deleteShardLease("s1")
	s.run(2 * Relaxed.LeaseDuration)
	if r := s.holder("s1"); r == nil || r == a {
		t.Errorf("held by %s, want b", s.holders())
	}
}

// R15: after an outage everybody gets the time to show that he is there.
func TestForeignHolderIsGivenTimeAfterAnOutage(t *testing.T) {
	s := installed(t, "s1")
	s.start("a")
	s.writeShard("s1", s.foreign(10))
	for range 5 {
		s.run(4 * time.Second)
		s.writeShard("s1", s.foreign(10))
	}
	s.cut(30*time.Second, s.replica("a"))
	s.run(30 * time.Second)
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
	s.stays(Default.LeaseDuration-time.Second, "-")
	s.within(5*time.Second, "a")
}

// A request may be carried out long after everybody has given it up. When it
// creates the record anew, that must not end the session that came later.
func TestRecordMadeByALateRequestEndsNoLaterSession(t *testing.T) {
	s := installed(t, "s1")
	var late func()
	s.fate = func(r *modelReplica, op Op) (fate, bool) {
		if r.name != "a" || late != nil {
			return fate{}, false
		}
		late = func() { s.server.do(s.now, op) }
		return fate{lost: true}, true
	}
	a := s.start("a")
	s.cut(12*time.Second, a) // its first session never becomes valid
	s.within(time.Minute, "a")
	s.start("b")
	s.run(10 * time.Second)

	a.watch.stalled = s.now + time.Minute
	s.run(10 * time.Millisecond)
	s.deleteMemberLease("a")
	late()
	s.run(time.Minute)
	if s.holder("s1") == nil {
		t.Error("nobody holds the shard")
	}
}

// The member Lease says who ends whose session; not whatever stands in it.
func TestMemberLeaseWithTheHolderOfAnotherEndsNothing(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	a, b := s.replica("a"), s.replica("b")
	a.watch.stalled = s.now + time.Minute
	s.run(10 * time.Millisecond)
	s.server.edit(MemberLeaseName(modelGroup, a.replica), func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = ptr.To(b.election.Identity())
	})
	if s.until(time.Minute, func() bool { m, _ := s.member("a"); return m.Ended == b.election.Identity() }) {
		t.Error("the record of a calls the session of b ended")
	}
}

func TestCopiedMemberLeaseIsNobody(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	before := s.holders()
	copied := s.server.leases[MemberLeaseName(modelGroup, s.replica("b").replica)].DeepCopy()
	copied.Name = modelGroup + ".member-copy.main"
	s.server.create(s.now, copied)
	s.forget()
	s.stays(time.Minute, before)
	if len(s.checks.requests) != 1 {
		t.Errorf("the group sent %v, want heartbeats only", s.checks.requests)
	}
	s.replica("b").crash()
	s.forget()
	s.run(time.Minute)
	if n := s.checks.requests["end session"]; n != 1 {
		t.Errorf("the session of b was ended %d times", n)
	}
}

// R6b holds for whoever made the Lease: its first holder may be gone long before
// the holder of the one that was deleted knows of it.
func TestShardLeaseMadeAnewByAForeignElector(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	a := s.holder("s1")
	a.watch.stalled = s.now + time.Minute
	s.run(10 * time.Millisecond)
	s.deleteShardLease("s1")
	s.writeShard("s1", func(l *coordinationv1.Lease) {
		s.foreign(1)(l)
		l.Spec.LeaseTransitions = ptr.To[int32](0)
		l.Labels = map[string]string{LabelGroup: modelGroup, LabelKind: KindShard}
	})
	s.run(time.Minute)
	if r := s.holder("s1"); r == nil {
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
			backup := s.server.leases[ShardLeaseName(modelGroup, "s1")].DeepCopy()
			if test.released {
				a.deliver(Configured{Shards: specs("s2")})
				s.run(time.Second)
				backup = s.server.leases[ShardLeaseName(modelGroup, "s1")].DeepCopy()
				a.deliver(Configured{Shards: s.config.Shards})
				s.run(time.Second)
			}
			b := s.start("b")
			s.run(10 * time.Second)
			if s.holder("s1") == a {
				a.deliver(Configured{Shards: specs("s2")})
				s.run(time.Second)
				a.deliver(Configured{Shards: s.config.Shards})
				s.run(10 * time.Second)
			}
			if s.holder("s1") != b {
				t.Fatalf("held by %s, want s1 with b", s.holders())
			}
			b.watch.stalled = s.now + time.Minute
			s.run(10 * time.Millisecond)
			s.deleteShardLease("s1")
			s.server.create(s.now, backup)
			s.run(time.Minute)
			if s.holder("s1") == nil {
				t.Error("nobody holds the shard")
			}
		})
	}
}

func TestFastRefusalsDoNotSlowTheHeartbeatDown(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	before := s.holders()
	s.run(4990 * time.Millisecond) // just before a heartbeat of either
	end := s.now + 5*time.Second
	s.fate = func(*modelReplica, Op) (fate, bool) {
		return fate{request: time.Millisecond, reply: time.Millisecond, refusal: Unknown}, s.now < end
	}
	s.stays(30*time.Second, before)
}

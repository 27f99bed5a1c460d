// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// TestHostileLeases writes what nobody of the group would write, whatever the
// reason. It must not panic, grant anything to two, or set off a storm of
// requests (all of which the model checks); and once the Lease is deleted, the
// group recovers.
func TestHostileLeases(t *testing.T) {
	shard := lease.ShardLeaseName(sim.Group, "s1")
	layout := lease.LayoutLeaseName(sim.Group)
	annotation := func(key, value string) func(*coordinationv1.Lease) {
		return func(l *coordinationv1.Lease) { metav1.SetMetaDataAnnotation(&l.ObjectMeta, key, value) }
	}
	for _, test := range []struct {
		name  string
		lease string // "member" stands for that of replica a
		edit  func(*coordinationv1.Lease)
	}{
		{"largest epoch", shard, func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = ptr.To[int32](math.MaxInt32) }},
		{"largest epoch but one", shard, func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = ptr.To[int32](math.MaxInt32 - 1) }},
		{"negative epoch", shard, func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = ptr.To[int32](-7) }},
		{"no epoch", shard, func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = nil }},
		{"holder is no identity", shard, func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To("_._.") }},
		{"holder is no identity, in session mode", shard, func(l *coordinationv1.Lease) {
			l.Spec.HolderIdentity = ptr.To("_._.")
			annotation(lease.AnnotationSession, "_._.")(l)
		}},
		{"holder is nobody we know, in session mode", shard, func(l *coordinationv1.Lease) {
			l.Spec.HolderIdentity = ptr.To("z_uid-of-z_main.b1.1")
			annotation(lease.AnnotationSession, "z_uid-of-z_main.b1.1")(l)
			annotation(lease.AnnotationDuration, "-5s")(l)
		}},
		{"holder is a session to come", shard, func(l *coordinationv1.Lease) {
			l.Spec.HolderIdentity = ptr.To("a_uid-of-a_main.b1.4294967295")
			annotation(lease.AnnotationSession, "a_uid-of-a_main.b1.4294967295")(l)
		}},
		{"holder is gone", shard, func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil }},
		{"empty spec", shard, func(l *coordinationv1.Lease) { l.Spec = coordinationv1.LeaseSpec{} }},
		{"negative duration", shard, func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = ptr.To[int32](-1) }},
		{"session annotation removed", shard, annotation(lease.AnnotationSession, "")},
		{"unreadable duration", shard, annotation(lease.AnnotationDuration, "long")},
		{"endless duration", shard, annotation(lease.AnnotationDuration, "2540400h")},
		{"unreadable carried", shard, annotation(lease.AnnotationCarried, `{"things":7}`)},
		{"endless carried", shard, annotation(lease.AnnotationCarried, `{"things":"`+strings.Repeat("9", 100_000)+`"}`)},
		{"endless cause", shard, annotation(lease.AnnotationHow, strings.Repeat("x", 100_000))},
		{"no annotations", shard, func(l *coordinationv1.Lease) { l.Annotations = nil }},

		{"layout is no JSON", layout, annotation(lease.AnnotationLayout, "]")},
		{"layout is null", layout, annotation(lease.AnnotationLayout, "null")},
		{"layout without shards", layout, annotation(lease.AnnotationLayout, `{"settled":true,"shards":null}`)},
		{"layout with another UID", layout, annotation(lease.AnnotationLayout, `{"settled":true,"shards":{"s1":{"firstUID":"x"}}}`)},
		{"layout is endless", layout, annotation(lease.AnnotationLayout, `{"shards":{"`+strings.Repeat("x", 250_000)+`":{}}}`)},
		{"layout is empty", layout, func(l *coordinationv1.Lease) { l.Annotations = nil }},

		{"member without holder", "member", func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil }},
		{"member with a holder that is no identity", "member", func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To("a") }},
		{"member with a session to come", "member", func(l *coordinationv1.Lease) {
			l.Spec.HolderIdentity = ptr.To("a_uid-of-a_main.b1.4294967295")
		}},
		{"member without attempt", "member", func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationAttempt) }},
		{"member with an attempt to come", "member", annotation(lease.AnnotationAttempt, "18446744073709551615")},
		{"member with an unreadable attempt", "member", annotation(lease.AnnotationAttempt, "-1")},
		{"member with the end of another", "member", annotation(lease.AnnotationEnded, "b_uid-of-b_main.b1.1")},
		{"member with no duration", "member", func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = nil }},
		{"member with an endless duration", "member", func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = ptr.To[int32](math.MaxInt32) }},
		{"member that serves everything", "member", annotation(lease.AnnotationServes, strings.Repeat("s1,", 50_000))},
		{"member with unreadable load", "member", annotation(lease.AnnotationLoad, `{"s1":"much"}`)},
		{"member with an unreadable revision", "member", annotation(lease.AnnotationRevision, "newest")},
		{"empty member", "member", func(l *coordinationv1.Lease) {
			l.Annotations, l.Spec = nil, coordinationv1.LeaseSpec{}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := settled(t, "s1 s2", "a", "b")
			name := test.lease
			if name == "member" {
				name = lease.MemberLeaseName(sim.Group, s.replica("a").Process)
			}
			s.Server.Edit(name, test.edit)
			s.Run(time.Minute)
			s.Logf("*", "deletes %s", name)
			s.Server.Remove(name)
			s.Run(2*lease.Default.LeaseDuration + 5*time.Second)
			if a, b := len(s.replica("a").Terms), len(s.replica("b").Terms); a != 1 || b != 1 {
				t.Errorf("held by %s, want one each", s.Holders())
			}
			s.Forget()
			s.Run(time.Minute)
			if len(s.Checks.Requests) != 1 {
				t.Errorf("the group sent %v, want heartbeats only", s.Checks.Requests)
			}
		})
	}
}

// TestStrangeNames puts Leases with the group's label there that are nobody's.
func TestStrangeNames(t *testing.T) {
	for _, name := range []string{"other", "g", "g.", "g.member-", "g.member-.", "g.member-x", "g.member-uid-of-a.other", "g.s1.s1", "gg.s1", "g.layout"} {
		t.Run(name, func(t *testing.T) {
			s := settled(t, "s1 s2", "a", "b")
			before := s.Holders()
			for _, pattern := range []string{lease.ShardLeaseName(sim.Group, "s1"), lease.MemberLeaseName(sim.Group, s.replica("a").Process)} {
				copied := s.Server.Lease(pattern).DeepCopy()
				copied.Name = name
				s.Server.Create(copied)
				s.stays(time.Minute, before)
				s.Server.Remove(name)
			}
		})
	}
}

// A member Lease that was deleted and made again from a copy shows a heartbeat
// that was seen long ago: its clock starts anew (R5), or a live session would be
// ended before its time.
func TestMemberLeaseReplacedByAnOlderCopy(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	a, b := s.replica("a"), s.replica("b")
	name := lease.MemberLeaseName(sim.Group, a.Process)
	again := lease.Configured{Shards: s.Config.Shards}
	a.Deliver(again) // both renew now
	b.Deliver(again)
	s.Run(5 * time.Millisecond)
	backup := s.Server.Lease(name).DeepCopy()
	first := s.Now()
	b.Watch.BreakOff(8300*time.Millisecond, true)
	s.Run(8 * time.Second)
	a.Deliver(again)
	s.Run(5 * time.Millisecond)
	s.cut(time.Minute, a)
	s.Logf("*", "replaces the member Lease of a by an older copy")
	s.Server.Remove(name)
	s.Server.Create(backup)
	s.Until(30*time.Second, func() bool { return s.Now()-first > 20*time.Second })
	if incarnation(t, b) != 1 {
		t.Error("b lapsed: that shows nothing")
	}
}

// Somebody on the way strips annotations: claims that are carried out grant
// nothing, and must not follow one another at the speed of the network.
func TestAnnotationStripped(t *testing.T) {
	for _, mode := range []lease.Mode{lease.SessionMode, lease.LeaseMode} {
		t.Run(string(mode), func(t *testing.T) {
			s := newScenario(t, "s1")
			s.Config.Mode = mode
			s.InstallLayout()
			name := lease.ShardLeaseName(sim.Group, "s1")
			s.Fate = func(_ *sim.Replica, op lease.Op) (sim.Fate, bool) {
				if op.Name == name && op.Verb == lease.Update {
					delete(op.Lease.Annotations, lease.AnnotationAttempt)
					delete(op.Lease.Annotations, lease.AnnotationSession)
				}
				return sim.Fate{}, false
			}
			s.Transcript = nil
			s.Start("a")
			s.Run(time.Minute)
			if s.Checks.Requests["hand over"] > 200 {
				t.Errorf("busy: %v", s.Checks.Requests)
			}
		})
	}
}

// What a deleted Lease had on record does not come into the next one then, and nobody
// waits for that.
func TestLedgerStripped(t *testing.T) {
	s := settled(t, "s1", "a")
	s.Transcript = nil
	a := s.replica("a")
	a.Deliver(lease.Enter{ID: 1, Term: a.Terms["s1"].Term, Text: "step 1"})
	s.Run(time.Second)
	name := lease.ShardLeaseName(sim.Group, "s1")
	s.Fate = func(_ *sim.Replica, op lease.Op) (sim.Fate, bool) {
		if op.Name == name && op.Lease != nil {
			delete(op.Lease.Annotations, lease.AnnotationLedger)
		}
		return sim.Fate{}, false
	}
	s.Server.Remove(name)
	s.Run(time.Minute)
	if n := s.Checks.Requests["remind"]; n != 1 {
		t.Errorf("%d requests to remind, want 1", n)
	}
	if got := s.shard("s1"); got.Holder == "" || got.Ledger != "" {
		t.Errorf("it is held by %q with %q on record", got.Holder, got.Ledger)
	}
}

// Records of the dead may vanish while somebody tries to end their sessions.
func TestBackoffsOfTheDeadAreForgotten(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	s.Transcript = nil
	for i := range 30 {
		r := s.Start(fmt.Sprintf("x%d", i))
		s.Run(4 * time.Second)
		r.Crash()
		name := lease.MemberLeaseName(sim.Group, r.Process)
		s.Server.Remove(name)         // the garbage collector
		for _, o := range s.Alive() { // both are told
			o.Deliver(lease.Died{Replica: r.Process})
		}
		s.Run(4 * time.Second)
		s.Server.Remove(name) // the garbage collector, with the Pod
		s.Run(time.Second)
	}
	s.Run(100 * time.Second)
	for _, r := range s.Alive() {
		if n := r.Election.Retries(); n > 4 {
			t.Errorf("%s remembers %d back-offs", r.Name, n)
		}
	}
}

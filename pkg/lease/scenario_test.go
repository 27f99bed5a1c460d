// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// scenario is a world in which a test says what happens. Nothing else goes
// wrong, and every request, reply and event takes a millisecond.
type scenario struct {
	*sim.World
	t     *testing.T
	lines bytes.Buffer
}

func newScenario(t *testing.T, shards ...string) *scenario {
	t.Helper()
	s := &scenario{World: sim.New(1, lease.Default, shards...), t: t}
	s.Transcript = &s.lines
	t.Cleanup(func() {
		if s.Checks.Violation != nil {
			t.Error(s.Checks.Violation)
		}
		if t.Failed() {
			t.Logf("what happened:\n%s", &s.lines)
		}
	})
	return s
}

// installed is a scenario of a group with a layout record, so that its first
// start needs no wait.
func installed(t *testing.T, shards ...string) *scenario {
	t.Helper()
	s := newScenario(t, shards...)
	s.InstallLayout()
	return s
}

// settled is an installed group with these replicas, a few seconds after the
// last of them has got its share.
func settled(t *testing.T, shards string, pods ...string) *scenario {
	t.Helper()
	s := installed(t, strings.Fields(shards)...)
	for _, pod := range pods {
		s.Start(pod)
		s.Run(5 * time.Second)
	}
	return s
}

// replica is the newest process of a Pod.
func (s *scenario) replica(pod string) *sim.Replica {
	s.t.Helper()
	for _, r := range slices.Backward(s.Replicas) {
		if r.Process.Pod == pod {
			return r
		}
	}
	s.t.Fatalf("no replica %s", pod)
	return nil
}

// within lets time pass until the shards are held like that, at most d; it
// says how long it took.
func (s *scenario) within(d time.Duration, holders string) time.Duration {
	s.t.Helper()
	from := s.Now()
	if !s.Until(d, func() bool { return s.Holders() == holders }) {
		s.t.Fatalf("after %s the shards are held by %q, want %q", d, s.Holders(), holders)
	}
	return s.Now() - from
}

// stays lets d pass and checks after everything that happens that the shards
// are held like that.
func (s *scenario) stays(d time.Duration, holders string) {
	s.t.Helper()
	from := s.Now()
	if s.Until(d, func() bool { return s.Holders() != holders }) {
		s.t.Fatalf("after %s the shards are held by %q, want them to stay with %q", s.Now()-from, s.Holders(), holders)
	}
}

// shard is the record of a shard.
func (s *scenario) shard(shard string) lease.Shard {
	s.t.Helper()
	l := s.Server.Lease(lease.ShardLeaseName(sim.Group, shard))
	if l == nil {
		s.t.Fatalf("shard %s has no Lease", shard)
	}
	return lease.DecodeShard(l)
}

// member is the record of a replica; ok is false if there is none.
func (s *scenario) member(pod string) (m lease.Member, ok bool) {
	s.t.Helper()
	l := s.Server.Lease(lease.MemberLeaseName(sim.Group, s.replica(pod).Process))
	if l == nil {
		return lease.Member{}, false
	}
	return lease.DecodeMember(l), true
}

func (s *scenario) deleteShardLease(shard string) {
	s.Logf("*", "deletes the Lease of %s", shard)
	s.Server.Remove(lease.ShardLeaseName(sim.Group, shard))
}

func (s *scenario) deleteMemberLease(pod string) {
	s.Logf("*", "deletes the member Lease of %s", pod)
	s.Server.Remove(lease.MemberLeaseName(sim.Group, s.replica(pod).Process))
}

// cut parts replicas from the API server, in both directions, for d.
func (s *scenario) cut(d time.Duration, replicas ...*sim.Replica) {
	for _, r := range replicas {
		s.Logf(r.Name, "is cut off for %s", d)
		r.CutRequests, r.CutReplies, r.Watch.Stalled = s.Now()+d, s.Now()+d, s.Now()+d
	}
}

// writeShard makes a shard's Lease, or changes it, by hand.
func (s *scenario) writeShard(shard string, edit func(*coordinationv1.Lease)) {
	name := lease.ShardLeaseName(sim.Group, shard)
	s.Logf("*", "writes the Lease of %s", shard)
	if s.Server.Edit(name, edit) {
		return
	}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	edit(l)
	s.Server.Create(l)
}

// foreign makes a Lease one that an elector holds which knows the standard
// rules only.
func (s *scenario) foreign(seconds int32) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = ptr.To("somebody-else")
		l.Spec.LeaseDurationSeconds = &seconds
		l.Spec.RenewTime = ptr.To(metav1.NewMicroTime(time.Unix(sim.Epoch, 0).Add(s.Now())))
		l.Spec.LeaseTransitions = ptr.To(ptr.Deref(l.Spec.LeaseTransitions, 0) + 1)
	}
}

// incarnation counts the sessions of a process.
func incarnation(t *testing.T, r *sim.Replica) uint32 {
	t.Helper()
	id, err := lease.ParseIdentity(r.Identity)
	if err != nil {
		t.Fatal(err)
	}
	return id.Incarnation
}

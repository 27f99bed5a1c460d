// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// annotate does what an operator's command does.
func (s *scenario) annotate(name, key, value string) {
	s.t.Helper()
	s.Logf("*", "%s=%s on %s", key, value, name)
	if !s.Server.Edit(name, func(l *coordinationv1.Lease) { metav1.SetMetaDataAnnotation(&l.ObjectMeta, key, value) }) {
		s.t.Fatalf("there is no Lease %s", name)
	}
}

func (s *scenario) pin(shard, pod string) {
	s.annotate(lease.ShardLeaseName(sim.Group, shard), lease.AnnotationPinned, pod)
}

func (s *scenario) cordon(pod, value string) {
	s.annotate(lease.MemberLeaseName(sim.Group, s.replica(pod).Process), lease.AnnotationCordoned, value)
}

// A pin is obeyed at once, by the holder alone, and survives that the shard changes
// hands.
func TestPinMovesAShard(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	from, to := s.Holder("s1").Name, s.Holder("s2").Name
	s.pin("s1", to)
	s.within(5*time.Second, to+" "+from) // and the other one is for balance
	if s.Checks.Revoked > 0 {
		t.Errorf("%d terms ended without a hand-over", s.Checks.Revoked)
	}
	s.replica(to).Crash()
	s.within(2*lease.Default.LeaseDuration, from+" "+from)
	if pinned := s.shard("s1").Pinned; pinned != to {
		t.Errorf("the shard is pinned to %q, want %q still", pinned, to)
	}
}

// A member that is cordoned gives away what it holds, and gets nothing, until that
// is taken back; its own heartbeats do not.
func TestCordonedMemberHoldsNothing(t *testing.T) {
	s := settled(t, "s1 s2 s3 s4", "a", "b")
	s.cordon("a", "true")
	took := s.within(time.Second, "b b b b")
	if took > 50*time.Millisecond {
		t.Errorf("it took %s, want no wait", took)
	}
	s.Run(time.Minute)
	if len(s.replica("a").Terms) > 0 {
		t.Errorf("a cordoned member holds %d shards", len(s.replica("a").Terms))
	}
	s.cordon("a", "")
	s.Run(10 * time.Second)
	if a := len(s.replica("a").Terms); a != 2 {
		t.Errorf("having been uncordoned, it holds %d shards, want 2", a)
	}
}

// The last member keeps what it holds even if it is cordoned.
func TestCordonedMemberKeepsWhatNobodyTakes(t *testing.T) {
	s := settled(t, "s1 s2", "a")
	s.cordon("a", "true")
	s.stays(time.Minute, "a a")
}

// A replica of an older revision is told when it has nothing left to do, and when
// it has again.
func TestEmptiedMemberOfAnOlderRevision(t *testing.T) {
	s := installed(t, "s1", "s2")
	s.Config.TargetReplicas = 1
	told := map[string][]bool{}
	s.Recorded = func(r *sim.Replica, _ lease.Instant, _ []lease.Event, effects []lease.Effect) {
		for _, e := range effects {
			if e, ok := e.(lease.Emptied); ok {
				told[r.Name] = append(told[r.Name], e.Yes)
			}
		}
	}
	s.Start("old")
	s.Run(5 * time.Second)
	s.Config.Revision = 1
	s.Start("new")
	s.within(5*time.Second, "new new")
	s.Run(time.Second)
	if got := told["old"]; len(got) != 1 || !got[0] {
		t.Fatalf("the old one was told %v, want that it was emptied", got)
	}
	s.replica("new").Crash()
	s.within(lease.Default.LeaseDuration+time.Second, "old old")
	if got := told["old"]; len(got) != 2 || got[1] || len(told["new"]) > 0 {
		t.Errorf("the old one was told %v, the new one %v; want the old one that it is not emptied any more", got, told["new"])
	}
}

// A load counts for whoever holds the shard, and moves with it.
func TestLoadMovesWithTheShard(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	holder := s.Holder("s1")
	holder.Deliver(lease.Reported{Ready: true, Load: map[string]int64{"s1": 750}})
	s.Run(lease.Default.RenewInterval + time.Second)
	holder.Deliver(lease.Leave{})
	s.Run(time.Second)
	if got := s.Holder("s1").Terms["s1"].Load; got != 750 || s.shard("s1").Load != 750 {
		t.Errorf("the next holder was told a load of %d, the record has %d, want 750", got, s.shard("s1").Load)
	}
	if s.shard("s1").Left.IsZero() {
		t.Error("the record does not tell when the last holder had ended its work")
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// family is one family, divided as replicas are configured for.
func family(buckets int, by lease.Partition) []lease.ShardSpec {
	return []lease.ShardSpec{{Name: "s", Kind: "Thing", Buckets: buckets, Partition: by}}
}

// divided is a group of replicas, a few seconds after the last of them has got
// its share. The work of a shard ends when it is told to.
func divided(t *testing.T, buckets int, pods ...string) *scenario {
	t.Helper()
	s := installed(t)
	s.Config.Shards = family(buckets, lease.ByUID)
	s.Faults.WorkReturns = sim.Span{}
	for _, pod := range pods {
		s.Start(pod)
		s.Run(5 * time.Second)
	}
	s.isDivided(buckets)
	return s
}

// heldAs are the buckets that are held, each once.
func (s *scenario) heldAs() []lease.Bucket {
	var all []lease.Bucket
	for _, r := range s.Alive() {
		for name, held := range r.Terms {
			if r.Holds(name) {
				all = append(all, held.Bucket)
			}
		}
	}
	return all
}

// isDivided checks that the family is in so many buckets, and that the record
// knows of no other.
func (s *scenario) isDivided(buckets int) {
	s.t.Helper()
	held := s.heldAs()
	for _, b := range held {
		if max(1, b.Of) != buckets {
			s.t.Fatalf("%v is held, want %d buckets", b, buckets)
		}
	}
	if len(held) != buckets || s.Unowned("s") > 0 {
		s.t.Fatalf("%d buckets are held and %d sample keys have no owner, want %d and 0", len(held), s.Unowned("s"), buckets)
	}
	if l := s.layoutFamily(); len(l.From) > 0 || max(1, l.Buckets) != buckets {
		s.t.Fatalf("the record has %+v, want %d buckets", l, buckets)
	}
}

func (s *scenario) layoutFamily() lease.LayoutFamily {
	s.t.Helper()
	l := s.Server.Lease(lease.LayoutLeaseName(sim.Group))
	if l == nil {
		s.t.Fatal("there is no layout record")
	}
	return lease.DecodeLayout(l).Families["s"]
}

// redivide configures all replicas anew.
func (s *scenario) redivide(buckets int, by lease.Partition) {
	s.Logf("*", "%d buckets by %s", buckets, by)
	s.Config.Shards = family(buckets, by)
	for _, r := range s.Alive() {
		r.Deliver(lease.Configured{Shards: s.Config.Shards})
	}
}

// longestUnowned lets d pass, and says for how long at most any sample key had no
// owner at a stretch, looking once a millisecond.
func (s *scenario) longestUnowned(d time.Duration) time.Duration {
	longest, now := time.Duration(0), time.Duration(0)
	for range d / time.Millisecond {
		s.Run(time.Millisecond)
		if now += time.Millisecond; s.Unowned("s") == 0 {
			now = 0
		}
		longest = max(longest, now)
	}
	return longest
}

// While a family is divided anew no key has two owners, which the world checks at
// every step, and none is without one for longer than hand-offs take: sealing,
// showing that, claiming, and showing that too, some more where many buckets become
// one.
func TestFamilyIsDividedAnew(t *testing.T) {
	for _, tc := range []struct {
		from, to int
		by       lease.Partition
	}{
		{1, 4, lease.ByUID},
		{4, 8, lease.ByUID},
		{8, 4, lease.ByUID},
		{3, 5, lease.ByUID},
		{5, 3, lease.ByUID},
		{4, 1, lease.ByUID},
		{4, 6, lease.ByKey},
		{4, 4, lease.ByKey},
		{lease.MaxBuckets, 2, lease.ByUID},
	} {
		t.Run(fmt.Sprintf("%d to %d by %s", tc.from, tc.to, tc.by), func(t *testing.T) {
			s := divided(t, tc.from, "a", "b", "c")
			s.redivide(tc.to, tc.by)
			if gap := s.longestUnowned(5 * time.Second); gap > 20*time.Millisecond {
				t.Errorf("a key had no owner for %s", gap)
			}
			s.Run(lease.Default.LeaseDuration) // the way over one piece makes Leases of the same names anew
			s.isDivided(tc.to)
			if s.Checks.Revoked > 0 {
				t.Errorf("%d terms ended without a hand-over", s.Checks.Revoked)
			}
		})
	}
}

// What is left of an earlier layout is removed after a while, so that going back
// to it is as quick as going there was.
func TestEarlierLayoutIsRemoved(t *testing.T) {
	s := divided(t, 4, "a", "b")
	s.redivide(2, lease.ByUID)
	s.Run(5 * time.Second)
	s.isDivided(2)
	s.Run(lease.BuryAfter*lease.Default.LeaseDuration + time.Minute)
	var shards []string
	for _, name := range s.Server.Names() {
		if family, _ := lease.ParseShardName(name); family == sim.Group+".s" {
			shards = append(shards, name)
		}
	}
	record := lease.DecodeLayout(s.Server.Lease(lease.LayoutLeaseName(sim.Group)))
	if want := []string{"g.s.0-of-2", "g.s.1-of-2"}; !slices.Equal(shards, want) || len(record.Shards) != 2 {
		t.Errorf("there are the Leases %v, and the record has %v; want %v", shards, slices.Sorted(maps.Keys(record.Shards)), want)
	}
	s.redivide(4, lease.ByUID)
	s.Run(5 * time.Second)
	s.isDivided(4)
}

// Going back before it was removed has to wait for Leases made anew, while the
// present layout goes on.
func TestGoingBackAtOnceLeavesNoKeyWithoutAnOwner(t *testing.T) {
	s := divided(t, 4, "a", "b")
	s.redivide(2, lease.ByUID)
	s.Run(2 * time.Second)
	s.redivide(4, lease.ByUID)
	if gap := s.longestUnowned(lease.Default.LeaseDuration + 5*time.Second); gap > 10*time.Millisecond {
		t.Errorf("a key had no owner for %s", gap)
	}
	s.isDivided(4)
}

// While replicas of an old and a new configuration run side by side, the newest
// revision decides; the others obey the record.
func TestOldAndNewConfigurationsSideBySide(t *testing.T) {
	s := divided(t, 4, "a", "b")
	s.Config.Shards = family(8, lease.ByUID)
	s.Start("c")
	s.Run(20 * time.Second)
	t.Log("of one revision, all have to agree")
	s.isDivided(4)
	s.Config.Revision, s.Config.TargetReplicas = 1, 2
	s.Start("d")
	s.Run(10 * time.Second)
	t.Log("the first of the newest revision waits for the others")
	s.isDivided(4)
	s.Start("f")
	if gap := s.longestUnowned(10 * time.Second); gap > 10*time.Millisecond {
		t.Errorf("a key had no owner for %s", gap)
	}
	s.isDivided(8)
	t.Log("a late old replica obeys the record")
	s.Config.Revision, s.Config.TargetReplicas, s.Config.Shards = 0, 0, family(4, lease.ByUID)
	s.Start("e")
	s.Run(20 * time.Second)
	s.isDivided(8)
	s.replica("d").Deliver(lease.Leave{})
	s.replica("f").Deliver(lease.Leave{})
	s.Run(20 * time.Second)
	s.isDivided(8)
}

// A program that knows nothing of layouts keeps the family as it is while it lives.
func TestProgramThatKnowsNoLayoutsBlocksTheChange(t *testing.T) {
	s := divided(t, 1, "a")
	old := lease.Replica{Pod: "old", UID: "uid-of-old", Container: "main", Boot: "b1"}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name:   lease.MemberLeaseName(sim.Group, old),
		Labels: map[string]string{lease.LabelGroup: sim.Group, lease.LabelKind: lease.KindMember},
	}}
	l.Spec.HolderIdentity = ptr.To(lease.Identity{Replica: old, Incarnation: 1}.String())
	l.Spec.LeaseDurationSeconds = ptr.To(int32(lease.Default.LeaseDuration / time.Second))
	s.Server.Create(l)
	s.Run(time.Second)
	s.redivide(4, lease.ByUID)
	s.Run(lease.Default.LeaseDuration - 2*time.Second)
	s.isDivided(1)
	s.Run(5 * time.Second)
	s.isDivided(4)
}

// The record is made anew from what replicas remember, whatever has become of it.
func TestLayoutSurvivesItsRecord(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(s *scenario, before map[string]string)
	}{
		{"deleted", func(s *scenario, _ map[string]string) { s.Server.Remove(lease.LayoutLeaseName(sim.Group)) }},
		{"restored from before the change", func(s *scenario, before map[string]string) {
			s.Server.Edit(lease.LayoutLeaseName(sim.Group), func(l *coordinationv1.Lease) { l.Annotations = maps.Clone(before) })
		}},
		{"emptied", func(s *scenario, _ map[string]string) {
			s.Server.Edit(lease.LayoutLeaseName(sim.Group), func(l *coordinationv1.Lease) { l.Annotations = nil })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := divided(t, 2, "a", "b")
			before := maps.Clone(s.Server.Lease(lease.LayoutLeaseName(sim.Group)).Annotations)
			s.redivide(4, lease.ByUID)
			s.Run(5 * time.Second)
			s.isDivided(4)
			s.Forget()
			s.Config.Shards = family(1, "")
			tc.spoil(s, before)
			s.Start("late")
			s.Run(lease.Default.LeaseDuration + 10*time.Second)
			s.isDivided(4)
			if s.Checks.Revoked > 0 {
				t.Errorf("%d terms ended", s.Checks.Revoked)
			}
		})
	}
}

// A replica that dies while the family is divided anew holds its keys up for as
// long as they would have been without that.
func TestHolderDiesWhileItsFamilyIsDividedAnew(t *testing.T) {
	s := divided(t, 2, "a", "b")
	s.redivide(4, lease.ByUID)
	if !s.Until(time.Second, func() bool { return s.layoutFamily().Sealing }) {
		t.Fatal("nothing was to be sealed")
	}
	s.replica("b").Crash()
	s.Run(lease.Default.LeaseDuration + time.Second)
	s.isDivided(4)
}

// The first claim of a new bucket tells what the holders of the old ones left.
func TestNewBucketKnowsWhatTheOldOnesLeft(t *testing.T) {
	s := divided(t, 2, "a", "b")
	for _, r := range s.Alive() {
		load := map[string]int64{}
		for shard := range r.Terms {
			load[shard] = 600
		}
		r.Deliver(lease.Reported{Ready: true, Load: load})
	}
	s.Wrote = func() map[string]string { return map[string]string{"things": "77"} }
	s.redivide(1, "")
	s.Run(5 * time.Second)
	s.isDivided(1)
	for _, r := range s.Alive() {
		if held := r.Terms["s"]; held != nil {
			if held.How != lease.CauseLayout || held.Carried["things"] != "77" || held.Load != 1200 || held.Left.IsZero() {
				t.Errorf("the term is %+v, want one by layout that carries 77, with a load of 1200, left at some time", held.Term)
			}
		}
	}
}

// Generations are numbered by the versions of the record, so that no two records
// give one number to different layouts, even if one was restored from an old copy
// and all Leases that tell of the other are gone: seals by that number would count
// for both.
func TestGenerationsOfARestoredRecordAreNew(t *testing.T) {
	s := divided(t, 4, "a", "b")
	name := lease.LayoutLeaseName(sim.Group)
	backup := s.Server.Lease(name).DeepCopy()
	s.redivide(3, lease.ByUID)
	s.Run(20 * time.Second)
	s.isDivided(3)
	first := s.layoutFamily().Generation

	for _, r := range s.Alive() {
		r.Crash()
	}
	for _, l := range s.Server.Names() { // nothing else is left
		s.Server.Remove(l)
	}
	backup.UID, backup.ResourceVersion = "", ""
	s.Logf("*", "restores the record from when there were 4 buckets")
	s.Server.Create(backup)
	s.Start("c")
	s.Run(2 * time.Minute)
	s.isDivided(3)
	if second := s.layoutFamily().Generation; second <= first {
		t.Errorf("the layout got the generation %d, which is not above %d, the one before the record was restored", second, first)
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// What the admission policies of package fence go by.

// leaseOf is a shard's Lease as it is now.
func (s *scenario) leaseOf(shard string) *coordinationv1.Lease {
	s.t.Helper()
	l := s.Server.Lease(lease.ShardLeaseName(sim.Group, shard))
	if l == nil {
		s.t.Fatalf("shard %s has no Lease", shard)
	}
	return l
}

// The policies find the Leases of a type by a label, and read from them what kind
// its objects are and how they are divided: from the first moment on, for a Lease
// that nobody has claimed keeps everybody from writing.
func TestShardLeaseSaysWhatTheFenceGoesBy(t *testing.T) {
	s := installed(t)
	s.Config.Shards = []lease.ShardSpec{
		{Name: "widgets.example.com", Resource: "widgets.example.com", Kind: "Widget", Buckets: 2, Partition: lease.ByKey},
		{Name: "nodes", Resource: "nodes", Kind: "Node", ClusterScoped: true},
		{Name: "report"},
	}
	s.Start("a")
	want := map[string][4]string{
		"widgets.example.com.0-of-2": {"widgets.example.com", "Widget", lease.ScopeNamespaced, "key"},
		"widgets.example.com.1-of-2": {"widgets.example.com", "Widget", lease.ScopeNamespaced, "key"},
		"nodes":                      {"nodes", "Node", lease.ScopeCluster, ""},
		"report":                     {"report", "", "", ""},
	}
	seen := 0
	check := func() {
		seen = 0
		for shard, said := range want {
			l := s.Server.Lease(lease.ShardLeaseName(sim.Group, shard))
			if l == nil {
				continue
			}
			seen++
			got := [4]string{
				l.Labels[lease.LabelFamily], l.Annotations[lease.AnnotationKind],
				l.Annotations[lease.AnnotationScope], l.Annotations[lease.AnnotationPartition],
			}
			if got != said || l.Labels[lease.LabelGroup] != sim.Group || l.Labels[lease.LabelKind] != lease.KindShard {
				t.Fatalf("at %s the Lease of %s says %q, labels %v; want %q", s.Now(), shard, got, l.Labels, said)
			}
		}
	}
	for range 10_000 {
		s.Run(time.Millisecond)
		check()
	}
	if seen != len(want) || s.Holders() == "" {
		t.Fatalf("%d Leases were seen, want %d; %s", seen, len(want), s.Holders())
	}
}

// At no moment of a change of layout would the policies refuse the writes of a
// holder: the Leases of the layout to come say nothing before they are claimed, and
// those of the last one nothing once they are sealed.
func TestFenceLetsHoldersWriteWhileTheirFamilyIsDividedAnew(t *testing.T) {
	for _, by := range []lease.Partition{lease.ByUID, lease.ByKey} {
		t.Run(string(by), func(t *testing.T) {
			s := divided(t, 4, "a", "b", "c")
			coming := 0
			for _, buckets := range []int{6, 1, 3} {
				s.redivide(buckets, by)
				for range 8000 {
					s.Run(time.Millisecond)
					if refused := s.Refused(); len(refused) > 0 {
						t.Fatalf("at %s: %s", s.Now(), strings.Join(refused, "; "))
					}
					coming += s.coming()
				}
				s.isDivided(buckets)
				if n := s.coming(); n > 0 {
					t.Errorf("%d Leases still say nothing", n)
				}
			}
			if coming == 0 {
				t.Error("no Lease of a layout to come was ever seen: nothing was proved")
			}
		})
	}
}

// coming counts the Leases that say they are of a layout to come.
func (s *scenario) coming() (n int) {
	for _, name := range s.Server.Names() {
		if s.Server.Lease(name).Annotations[lease.AnnotationComing] != "" {
			n++
		}
	}
	return n
}

// What somebody takes away, or an older version did not write, the holder puts
// back, without a new term.
func TestHolderPutsBackWhatTheFenceGoesBy(t *testing.T) {
	for name, damage := range map[string]func(*coordinationv1.Lease){
		"the label of the family": func(l *coordinationv1.Lease) { delete(l.Labels, lease.LabelFamily) },
		"a wrong label":           func(l *coordinationv1.Lease) { l.Labels[lease.LabelFamily] = "other" },
		"all labels":              func(l *coordinationv1.Lease) { l.Labels = nil },
		"the kind of the objects": func(l *coordinationv1.Lease) { delete(l.Annotations, lease.AnnotationKind) },
		"another scope":           func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationScope] = lease.ScopeCluster },
	} {
		t.Run(name, func(t *testing.T) {
			s := divided(t, 2, "a", "b")
			s.Server.Edit(lease.ShardLeaseName(sim.Group, "s.0-of-2"), damage)
			granted := maps.Clone(s.Checks.Granted)
			s.Run(time.Minute)
			if refused := s.Refused(); len(refused) > 0 {
				t.Error(strings.Join(refused, "; "))
			}
			l := s.leaseOf("s.0-of-2")
			if l.Labels[lease.LabelFamily] != "s" || l.Annotations[lease.AnnotationKind] != "Thing" || l.Annotations[lease.AnnotationScope] != lease.ScopeNamespaced {
				t.Errorf("labels %v, annotations %v", l.Labels, l.Annotations)
			}
			if name != "all labels" && !maps.Equal(granted, s.Checks.Granted) {
				t.Errorf("terms began: %v, before %v", s.Checks.Granted, granted)
			}
		})
	}
}

// A Lease that a replica made by mistake, before it knew of the record, is removed
// soon: the policies take it for one that has no holder at the moment.
func TestLeaseThatNobodyEverHadDoesNotKeepTheFenceShut(t *testing.T) {
	s := divided(t, 4, "a", "b")
	s.writeShard("s", func(l *coordinationv1.Lease) {
		l.Labels = map[string]string{lease.LabelGroup: sim.Group, lease.LabelKind: lease.KindShard, lease.LabelFamily: "s"}
	})
	if len(s.Refused()) == 0 {
		t.Fatal("the Lease is in nobody's way: nothing is proved")
	}
	if !s.Until(5*time.Second, func() bool { return len(s.Refused()) == 0 }) {
		t.Errorf("after 5 s: %s", strings.Join(s.Refused(), "; "))
	}
}

// The digest of the policies that a replica's configuration calls for is in its
// heartbeat.
func TestMemberSaysWhichFenceItCallsFor(t *testing.T) {
	s := settled(t, "s1", "a", "b")
	s.replica("a").Deliver(lease.Reported{Ready: true, Fence: "some-digest"})
	s.replica("a").Deliver(lease.Reported{Ready: true})
	s.Run(10 * time.Second)
	a, _ := s.member("a")
	b, _ := s.member("b")
	if a.Fence != "some-digest" || b.Fence != "" {
		t.Errorf("the digests are %q and %q, want one for a alone", a.Fence, b.Fence)
	}
}

func TestFamilyLabelIsALabel(t *testing.T) {
	long := strings.Repeat("long.", 20) + "example.com"
	families := []string{"widgets.example.com", "nodes", strings.Repeat("x", 63), long, "x" + long, long[:45] + "." + long[46:]}
	seen := map[string]string{}
	for _, f := range families {
		label := lease.FamilyLabel(f)
		if problems := validation.IsValidLabelValue(label); len(problems) > 0 {
			t.Errorf("%s: %q is no label: %v", f, label, problems)
		}
		if other, taken := seen[label]; taken && other != f {
			t.Errorf("%s and %s have the same label %s", f, other, label)
		}
		seen[label] = f
	}
	if got := lease.FamilyLabel("widgets.example.com"); got != "widgets.example.com" {
		t.Errorf("a short name became %q", got)
	}
}

// history is what the Lease of a shard said, each state with the time it was
// written at, from now on.
func (s *scenario) history(shard string) *[]stated {
	said := &[]stated{}
	show := s.Server.Changed
	s.Server.Changed = func() {
		history := s.Server.History()
		if last := history[len(history)-1].After; last != nil && last.Name == lease.ShardLeaseName(sim.Group, shard) {
			*said = append(*said, stated{s.Now(), lease.DecodeShard(last)})
		}
		show()
	}
	return said
}

type stated struct {
	at time.Duration
	lease.Shard
}

// closedFor is how long a Lease is closed at least: see docs/fences.md.
const closedFor = 200 * time.Millisecond

// What the API server let in while it took the old holder for the present one is
// stored before the shard has another.
func TestLeaseIsClosedBeforeItsShardIsTaken(t *testing.T) {
	for name, fault := range map[string]func(s *scenario, r *sim.Replica){
		"killed":  func(_ *scenario, r *sim.Replica) { r.Crash() },
		"cut off": func(s *scenario, r *sim.Replica) { s.cut(time.Minute, r) },
		"known to be dead": func(s *scenario, r *sim.Replica) {
			r.Crash()
			for _, other := range s.Alive() {
				other.Deliver(lease.Died{Replica: r.Process})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := settled(t, "s1 s2 s3", "a", "b", "c")
			said, old := s.history("s1"), s.Holder("s1")
			identity := old.Identity
			fault(s, old)
			if !s.Until(time.Minute, func() bool { h := s.Holder("s1"); return h != nil && h != old }) {
				t.Fatal("nobody took the shard")
			}
			if len(*said) != 2 {
				t.Fatalf("the Lease was written %d times, want it closed and claimed: %+v", len(*said), *said)
			}
			closed, claimed := (*said)[0], (*said)[1]
			if closed.Holder != identity || closed.Closed != identity {
				t.Errorf("at first it said holder %q, closed to %q; want both to be %q", closed.Holder, closed.Closed, identity)
			}
			if took := claimed.at - closed.at; claimed.Closed != "" || took < closedFor || took > closedFor+100*time.Millisecond {
				t.Errorf("it was claimed %s later, closed to %q; want %s and a little, to nobody", took, claimed.Closed, closedFor)
			}
		})
	}
}

// Whoever gives a shard away has nothing under way any more, and a process that
// comes back in its own Pod is the same to the API server: neither waits.
func TestLeaseIsNotClosedWithoutNeed(t *testing.T) {
	for name, change := range map[string]func(s *scenario, r *sim.Replica){
		"handed over": func(_ *scenario, r *sim.Replica) { r.Deliver(lease.Leave{}) },
		"restarted": func(s *scenario, r *sim.Replica) {
			r.Crash()
			s.Restart(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := settled(t, "s1 s2", "a", "b")
			said, old := s.history("s1"), s.Holder("s1")
			change(s, old)
			if !s.Until(10*time.Second, func() bool { h := s.Holder("s1"); return h != nil && h != old }) {
				t.Fatal("nobody got the shard")
			}
			for _, state := range *said {
				if state.Closed != "" {
					t.Errorf("at %s the Lease was closed to %s", state.at, state.Closed)
				}
			}
		})
	}
}

// A replica that goes down between the closing and the claim leaves it to the others.
func TestClosedLeaseIsTakenByWhoeverIsLeft(t *testing.T) {
	s := settled(t, "s1 s2 s3", "a", "b", "c")
	s.Holder("s1").Crash()
	closed := func() bool { return s.shard("s1").Closed != "" }
	if !s.Until(time.Minute, closed) {
		t.Fatal("the Lease was never closed")
	}
	for _, r := range s.Alive()[1:] {
		r.Crash() // perhaps the one that has closed it
	}
	if !s.Until(time.Minute, func() bool { return s.Holder("s1") != nil }) || closed() {
		t.Errorf("held by %s, closed to %q", s.Holders(), s.shard("s1").Closed)
	}
}

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

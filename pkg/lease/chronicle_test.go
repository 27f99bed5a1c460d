// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"slices"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
)

// heldBy is a shard's Lease at an epoch.
func heldBy(shard, holder string, epoch int32, resourceVersion string) *coordinationv1.Lease {
	l := leaseAt("g."+shard, resourceVersion)
	l.UID = "uid"
	l.Labels = map[string]string{LabelGroup: "g", LabelKind: KindShard}
	l.Annotations = annotate(nil, map[string]string{AnnotationSession: holder, AnnotationClaimed: "uid"})
	l.Spec.HolderIdentity, l.Spec.LeaseTransitions = &holder, &epoch
	return l
}

// memberNamed is a member's Lease.
func memberNamed(pod, boot, resourceVersion string, annotations map[string]string) *coordinationv1.Lease {
	id := Identity{Replica: Replica{Pod: pod, UID: "uid-" + "x", Container: "main", Boot: boot}, Incarnation: 1}
	l := leaseAt("g.member-"+pod, resourceVersion)
	l.Labels = map[string]string{LabelGroup: "g", LabelKind: KindMember}
	l.Annotations = annotations
	l.Spec.HolderIdentity = ptr.To(id.String())
	return l
}

func (c Change) String() string {
	switch c.Kind {
	case LeaderChanged:
		return fmt.Sprintf("%d leader %s=%s/%d", c.ID, c.Leader.Shard, c.Leader.Pod, c.Leader.Epoch)
	default:
		return fmt.Sprintf("%d %s %s ready=%t leaving=%t", c.ID, c.Kind, c.Member.Pod, c.Member.Ready, c.Member.Leaving)
	}
}

// seen are the changes after those that were shown before.
func seen(t *testing.T, m *Mirror, after uint64) []string {
	t.Helper()
	changes, complete, _ := m.Chronicle().Since(after)
	if !complete {
		t.Fatalf("what came after %d is not known", after)
	}
	var all []string
	for _, c := range changes {
		all = append(all, c.String())
	}
	return all
}

func TestChronicle(t *testing.T) {
	ended := memberNamed("p", "b1", "9", nil)
	ended.Annotations = map[string]string{AnnotationEnded: *ended.Spec.HolderIdentity}
	list := func(rv string, leases ...*coordinationv1.Lease) Listed {
		return Listed{ResourceVersion: rv, Leases: leases}
	}
	for _, tc := range []struct {
		name   string
		events []Event
		want   []string
	}{
		{
			"what the first list shows, by name",
			[]Event{list("5", memberNamed("p", "b1", "3", nil), heldBy("s", "x", 1, "4"), heldBy("free", "", 1, "2"))},
			[]string{"1 joined p ready=false leaving=false", "2 leader s=x/1"},
		},
		{
			"each holder, however short",
			[]Event{list("1"), Observed{Lease: heldBy("s", "x", 1, "2")}, Observed{Lease: heldBy("s", "y", 2, "3")}, Observed{Lease: heldBy("s", "x", 3, "4")}},
			[]string{"1 leader s=x/1", "2 leader s=y/2", "3 leader s=x/3"},
		},
		{
			"a release, and a claim by the same",
			[]Event{list("1", heldBy("s", "x", 1, "1")), Observed{Lease: heldBy("s", "", 1, "2")}, Observed{Lease: heldBy("s", "x", 2, "3")}},
			[]string{"1 leader s=x/1", "2 leader s=/1", "3 leader s=x/2"},
		},
		{
			"nothing of what changes besides",
			[]Event{list("1", heldBy("s", "x", 1, "1")), Observed{Lease: heldBy("s", "x", 1, "2")}, Progressed{ResourceVersion: "3"}, Tick{}},
			[]string{"1 leader s=x/1"},
		},
		{
			"a Lease that goes, and its successor",
			[]Event{list("1", heldBy("s", "x", 1, "1")), Observed{Lease: heldBy("s", "x", 1, "2"), Deleted: true}, Observed{Lease: heldBy("s", "", 1, "3")}, Observed{Lease: heldBy("s", "x", 2, "4")}},
			[]string{"1 leader s=x/1", "2 leader s=/1", "3 leader s=x/2"},
		},
		{
			"what came about while the watch was down, as one change each",
			[]Event{list("2", heldBy("s", "x", 1, "1"), memberNamed("p", "b1", "2", nil)), list("9", heldBy("s", "z", 7, "8"))},
			[]string{"1 joined p ready=false leaving=false", "2 leader s=x/1", "3 leader s=z/7", "4 left p ready=false leaving=false"},
		},
		{
			"nothing that is older than what was shown",
			[]Event{list("5", heldBy("s", "x", 2, "4")), Observed{Lease: heldBy("s", "w", 1, "3")}, list("4", heldBy("s", "w", 1, "3"))},
			[]string{"1 leader s=x/2"},
		},
		{
			"what a member says of itself, and its end",
			[]Event{
				list("1", memberNamed("p", "b1", "1", nil)),
				Observed{Lease: memberNamed("p", "b1", "2", map[string]string{AnnotationReady: "true"})},
				Observed{Lease: memberNamed("p", "b1", "3", map[string]string{AnnotationReady: "true", AnnotationAttempt: "7"})},
				Observed{Lease: memberNamed("p", "b1", "4", map[string]string{AnnotationReady: "true", AnnotationLeaving: "true"})},
				Observed{Lease: ended},
				Observed{Lease: ended, Deleted: true},
			},
			[]string{
				"1 joined p ready=false leaving=false", "2 changed p ready=true leaving=false", "3 changed p ready=true leaving=true",
				"4 left p ready=true leaving=true",
			},
		},
		{
			"another process in the place of a member",
			[]Event{list("1", memberNamed("p", "b1", "1", nil)), Observed{Lease: memberNamed("p", "b2", "2", nil)}},
			[]string{"1 joined p ready=false leaving=false", "2 left p ready=false leaving=false", "3 joined p ready=false leaving=false"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := NewMirror()
			for _, ev := range tc.events {
				m.show([]Event{ev})
			}
			if got := seen(t, m, 0); !slices.Equal(got, tc.want) {
				t.Errorf("it tells\n%q, want\n%q", got, tc.want)
			}
		})
	}
}

// Who follows the chronicle misses nothing, or is told that it does.
func TestChronicleForgets(t *testing.T) {
	m := NewMirror()
	m.show([]Event{Listed{ResourceVersion: "1"}})
	_, _, more := m.Chronicle().Since(0)
	for i := range int32(MaxChanges + 10) {
		m.show([]Event{Observed{Lease: heldBy("s", fmt.Sprintf("p%d", i), i, fmt.Sprint(i+2))}})
	}
	<-more
	if _, complete, _ := m.Chronicle().Since(9); complete {
		t.Error("it claims to know what has been forgotten")
	}
	if _, complete, _ := m.Chronicle().Since(MaxChanges + 11); complete {
		t.Error("it claims to know what has not been yet")
	}
	if got := seen(t, m, 10); len(got) != MaxChanges {
		t.Errorf("it knows %d changes, want %d", len(got), MaxChanges)
	}
	standing := m.Chronicle().Standing()
	if standing.ID != MaxChanges+10 || standing.Leaders["s"].Epoch != MaxChanges+9 {
		t.Errorf("it stands at %+v", standing)
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

func labelled(name string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{lease.LabelGroup: Group}}}
}

// TestServerComparesAndSwaps: the model refuses what the API server refuses.
func TestServerComparesAndSwaps(t *testing.T) {
	change := func(l *coordinationv1.Lease, edit func(*coordinationv1.Lease)) *coordinationv1.Lease {
		l = l.DeepCopy()
		l.Spec.HolderIdentity = ptr.To("somebody")
		edit(l)
		return l
	}
	for _, test := range []struct {
		name string
		verb lease.Verb
		edit func(*coordinationv1.Lease)
		want lease.Outcome
	}{
		{"get", lease.Get, func(*coordinationv1.Lease) {}, lease.OK},
		{"get of what is not there", lease.Get, func(l *coordinationv1.Lease) { l.Name = "g.none" }, lease.NotFound},
		{"create", lease.Create, func(l *coordinationv1.Lease) { l.Name = "g.none" }, lease.OK},
		{"create of what is there", lease.Create, func(*coordinationv1.Lease) {}, lease.Conflict},
		{"update", lease.Update, func(*coordinationv1.Lease) {}, lease.OK},
		{"update from an older state", lease.Update, func(l *coordinationv1.Lease) { l.ResourceVersion = "1" }, lease.Conflict},
		{"update of an earlier Lease", lease.Update, func(l *coordinationv1.Lease) { l.UID = "another" }, lease.Conflict},
		{"update of what is not there", lease.Update, func(l *coordinationv1.Lease) { l.Name = "g.none" }, lease.Conflict},
		{"update to a negative epoch", lease.Update, func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = ptr.To[int32](-1) }, lease.Rejected},
		{"update to no duration", lease.Update, func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = ptr.To[int32](0) }, lease.Rejected},
		{"delete", lease.Delete, func(*coordinationv1.Lease) {}, lease.OK},
		{"delete of an older state", lease.Delete, func(l *coordinationv1.Lease) { l.ResourceVersion = "1" }, lease.Conflict},
		{"delete of an earlier Lease", lease.Delete, func(l *coordinationv1.Lease) { l.UID = "another" }, lease.Conflict},
		{"delete of what is not there", lease.Delete, func(l *coordinationv1.Lease) { l.Name = "g.none" }, lease.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(func() time.Duration { return 0 })
			l := change(s.Create(labelled("g.s1")), test.edit)
			before := s.rv
			got, _ := s.Do(lease.Op{Verb: test.verb, Name: l.Name, Lease: l})
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if wrote := test.want == lease.OK && test.verb != lease.Get; (s.rv > before) != wrote {
				t.Errorf("the resourceVersion went from %d to %d", before, s.rv)
			}
		})
	}
}

func TestServerListsThePast(t *testing.T) {
	s := newServer(func() time.Duration { return 0 })
	s.Create(labelled("g.s1")) // 2
	s.Create(labelled("g.s2")) // 3
	s.Remove("g.s1")           // 4
	s.Edit("g.s2", func(l *coordinationv1.Lease) { l.Labels = nil })
	for rv, want := range map[uint64]int{1: 0, 2: 1, 3: 2, 4: 1, 5: 0} {
		if got := len(s.list(rv).Leases); got != want {
			t.Errorf("at %d it lists %d Leases, want %d", rv, got, want)
		}
	}
}

// A Lease that loses the group's label is gone, as far as the watch shows.
func TestWatchShowsALostLabelAsADeletion(t *testing.T) {
	s := newServer(func() time.Duration { return 0 })
	s.Create(labelled("g.s1"))
	s.Edit("g.s1", func(l *coordinationv1.Lease) { l.Labels = nil })
	s.Edit("g.s1", func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To("somebody") })
	ev, ok := s.history[2].shows().(lease.Observed)
	if !ok || !ev.Deleted || ev.Lease.ResourceVersion != "3" {
		t.Errorf("it shows %+v, want a deletion at 3", ev)
	}
	if ev := s.history[3].shows(); ev != nil {
		t.Errorf("it shows %+v, want nothing", ev)
	}
}

// A record took a family since some time if any state of it in force since then says
// so, the one at that time included.
func TestRecordTookAFamilySince(t *testing.T) {
	now := time.Duration(0)
	s := newServer(func() time.Duration { return now })
	id := lease.Identity{Replica: lease.Replica{Pod: "a", UID: "u", Container: "main", Boot: "b1"}, Incarnation: 1}
	l := labelled(lease.MemberLeaseName(Group, id.Replica))
	l.Spec.HolderIdentity = ptr.To(id.String())
	l.Annotations = map[string]string{lease.AnnotationReady: "true"}
	s.Create(l)
	now = 10 * time.Second
	s.Edit(l.Name, func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationDeclines] = `{"s2":"unfit"}` })
	now = 20 * time.Second
	s.Edit(l.Name, func(l *coordinationv1.Lease) { l.Annotations = nil })
	now = 30 * time.Second
	for _, test := range []struct {
		family string
		since  time.Duration
		want   bool
	}{
		{"s1", 0, true},
		{"s1", 20 * time.Second, true},
		{"s1", 21 * time.Second, false},
		{"s2", 0, true},
		{"s2", 10 * time.Second, true},
		{"s2", 11 * time.Second, false},
	} {
		if got := s.takesSince(id.String(), test.family, test.since); got != test.want {
			t.Errorf("took %s since %s: %t, want %t", test.family, test.since, got, test.want)
		}
	}
}

// A member's record without the group's label is hidden; a shard's is not meant.
func TestServerHidesAMember(t *testing.T) {
	s := newServer(func() time.Duration { return 0 })
	for _, name := range []string{"g.s1", "g.member-u.main"} {
		s.Create(labelled(name))
	}
	unlabel := func(l *coordinationv1.Lease) { l.Labels = nil }
	if s.Edit("g.s1", unlabel); s.hidesMember() {
		t.Error("a shard's Lease counts as a member's")
	}
	if s.Edit("g.member-u.main", unlabel); !s.hidesMember() {
		t.Error("the member's record is not found to be hidden")
	}
}

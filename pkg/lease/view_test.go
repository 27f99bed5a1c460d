// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"strconv"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// stateOf is the Lease of shard s at a resourceVersion.
func stateOf(rv int) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: "g.s", UID: "first", ResourceVersion: strconv.Itoa(rv), Labels: map[string]string{LabelGroup: "g"},
	}}
}

func unlabelled(l *coordinationv1.Lease) *coordinationv1.Lease {
	l.Labels = nil
	return l
}

func listed(rv int, leases ...*coordinationv1.Lease) func(*view) {
	return func(v *view) { v.replace(1, Listed{ResourceVersion: strconv.Itoa(rv), Leases: leases}) }
}

func shown(l *coordinationv1.Lease) func(*view) {
	return func(v *view) { v.observe(1, Observed{Lease: l}) }
}

func gone(l *coordinationv1.Lease) func(*view) {
	return func(v *view) { v.observe(1, Observed{Lease: l, Deleted: true}) }
}

func heard(l *coordinationv1.Lease) func(*view) { return func(v *view) { v.heard(1, l) } }

// TestViewNeverGoesBack is R3.
func TestViewNeverGoesBack(t *testing.T) {
	for _, test := range []struct {
		name    string
		events  []func(*view)
		want    uint64 // resourceVersion of the Lease; 0: not there
		settled bool
	}{
		{"list, then watch", []func(*view){listed(5, stateOf(3)), shown(stateOf(6))}, 6, true},
		{"an older event", []func(*view){listed(9, stateOf(8)), shown(stateOf(7))}, 8, true},
		{"an older reply", []func(*view){listed(9, stateOf(8)), heard(stateOf(7))}, 8, true},
		{"a newer reply", []func(*view){listed(9, stateOf(8)), heard(stateOf(12))}, 12, false},
		{"a newer reply, shown later", []func(*view){listed(9, stateOf(8)), heard(stateOf(12)), shown(stateOf(12))}, 12, true},
		{"a newer reply, then a bookmark", []func(*view){listed(9, stateOf(8)), heard(stateOf(12)), func(v *view) { v.progress(13) }}, 12, true},
		{"an older list", []func(*view){listed(9, stateOf(8)), listed(7, stateOf(6))}, 8, true},
		{"an older list without it", []func(*view){listed(9, stateOf(8)), listed(7)}, 8, true},
		{"an older list with what was deleted since", []func(*view){listed(5, stateOf(3)), gone(stateOf(8)), listed(6, stateOf(3))}, 0, false},
		{"a newer list without it", []func(*view){listed(9, stateOf(8)), listed(10)}, 0, false},
		{"a list that was under way while a reply came", []func(*view){listed(5), heard(stateOf(12)), listed(9)}, 12, false},
		{"a list that was under way while a reply came, and its watch", []func(*view){listed(5), heard(stateOf(12)), listed(9), shown(stateOf(12)), gone(stateOf(14))}, 0, false},
		{"deleted", []func(*view){listed(5, stateOf(3)), gone(stateOf(6))}, 0, false},
		{"deleted, shown again from before", []func(*view){listed(5, stateOf(3)), gone(stateOf(6)), shown(stateOf(5))}, 0, false},
		{"deleted, told of by a late reply", []func(*view){listed(5, stateOf(3)), gone(stateOf(8)), heard(stateOf(6))}, 0, false},
		{"deleted and made again", []func(*view){listed(5, stateOf(3)), gone(stateOf(6)), shown(stateOf(7))}, 7, true},
		{"made again before the deletion is shown", []func(*view){listed(5, stateOf(3)), heard(stateOf(7)), gone(stateOf(6))}, 7, false},
		{"label taken away, read again", []func(*view){listed(5, stateOf(3)), gone(stateOf(6)), heard(unlabelled(stateOf(6)))}, 6, true},
		{"read without label before that is shown", []func(*view){listed(5, stateOf(3)), heard(unlabelled(stateOf(8))), gone(stateOf(6))}, 8, false},
		{"unreadable resourceVersion", []func(*view){shown(func() *coordinationv1.Lease { l := stateOf(1); l.ResourceVersion = "x"; return l }())}, 0, false},
		{"another group's", []func(*view){shown(func() *coordinationv1.Lease { l := stateOf(1); l.Name = "gg.s"; return l }())}, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newView("g")
			for _, event := range test.events {
				event(v)
			}
			var got uint64
			settled := false
			if e := v.leases["g.s"]; e != nil {
				got, settled = e.rv, v.settled(e)
			}
			if got != test.want || settled != test.settled {
				t.Errorf("the view has the Lease at %d, settled %t; want %d, %t", got, settled, test.want, test.settled)
			}
		})
	}
}

// TestExpiryClocks says what counts as a sign of life.
func TestExpiryClocks(t *testing.T) {
	record := func(rv int, uid types.UID, attempt, note string) *coordinationv1.Lease {
		return &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{
				Name: "g.member-u.main", UID: uid, ResourceVersion: strconv.Itoa(rv), Labels: map[string]string{LabelGroup: "g"},
				Annotations: map[string]string{AnnotationAttempt: attempt, "note": note},
			},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: new("a_u_main.b.1")},
		}
	}
	const first, second = Instant(time.Second), Instant(2 * time.Second)
	for _, test := range []struct {
		name              string
		next              *coordinationv1.Lease
		changed, appeared Instant
	}{
		{"another attempt", record(2, "x", "8", ""), second, first},
		{"an annotation", record(2, "x", "7", "seen by me"), first, first},
		{"deleted and made again", record(2, "y", "7", ""), second, second},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := newView("g")
			v.observe(first, Observed{Lease: record(1, "x", "7", "")})
			v.observe(second, Observed{Lease: test.next})
			e := v.leases["g.member-u.main"]
			if e.changed != test.changed || e.appeared != test.appeared {
				t.Errorf("changed at %d and appeared at %d, want %d and %d", e.changed, e.appeared, test.changed, test.appeared)
			}
		})
	}
}

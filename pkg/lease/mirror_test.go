// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"slices"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func leaseAt(name, resourceVersion string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: resourceVersion}}
}

func TestMirror(t *testing.T) {
	a2, b3, a5, b6 := leaseAt("a", "2"), leaseAt("b", "3"), leaseAt("a", "5"), leaseAt("b", "6")
	listed := Listed{ResourceVersion: "4", Leases: []*coordinationv1.Lease{b3, a2}}
	for _, tc := range []struct {
		name    string
		events  []Event
		want    []string // name@resourceVersion
		changed bool
	}{
		{"nothing before the first list", []Event{Tick{}, Progressed{ResourceVersion: "9"}}, nil, false},
		{"a list, by name", []Event{listed}, []string{"a@2", "b@3"}, true},
		{"a change", []Event{listed, Observed{Lease: a5}}, []string{"a@5", "b@3"}, true},
		{"a deletion", []Event{listed, Observed{Lease: b6, Deleted: true}}, []string{"a@2"}, true},
		{"a list without what is gone", []Event{listed, Listed{ResourceVersion: "7", Leases: []*coordinationv1.Lease{a5}}}, []string{"a@5"}, true},
		{"an older list", []Event{listed, Observed{Lease: a5}, listed}, []string{"a@5", "b@3"}, true},
		{"an older event", []Event{listed, Observed{Lease: leaseAt("a", "1")}}, []string{"a@2", "b@3"}, true},
		{"an older deletion", []Event{listed, Observed{Lease: a2, Deleted: true}}, []string{"a@2", "b@3"}, true},
		{"what is no number", []Event{listed, Observed{Lease: leaseAt("c", "x")}}, []string{"a@2", "b@3"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := NewMirror()
			_, changed := m.Leases()
			m.show(tc.events)
			leases, _ := m.Leases()
			var got []string
			for _, l := range leases {
				got = append(got, l.Name+"@"+l.ResourceVersion)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("it shows %v, want %v", got, tc.want)
			}
			select {
			case <-changed:
				if !tc.changed {
					t.Error("it says that it has changed")
				}
			default:
				if tc.changed {
					t.Error("it does not say that it has changed")
				}
			}
		})
	}
}

// Who looks on hears of every change after what it has seen, and of nothing else.
func TestMirrorTellsOfWhatIsNewer(t *testing.T) {
	m := NewMirror()
	m.show([]Event{Listed{ResourceVersion: "4", Leases: []*coordinationv1.Lease{leaseAt("a", "2")}}})
	_, changed := m.Leases()
	m.show([]Event{Observed{Lease: leaseAt("a", "3")}, Tick{}})
	select {
	case <-changed:
		t.Error("it tells of a change that is older than what it shows")
	default:
	}
	m.show([]Event{Observed{Lease: leaseAt("a", "5")}})
	<-changed
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"maps"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/e2e/oracle"
)

// leaseEvent is what etcd tells of a shard's Lease.
func leaseEvent(revision int64, lease, holder string, epoch int32, handedOver bool) oracle.Event {
	said := &oracle.Lease{Holder: holder, Epoch: epoch}
	if handedOver {
		said.Left = time.Unix(revision, 0)
	}
	return oracle.Event{
		Revision: revision,
		Key:      oracle.Key{Resource: schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}, Namespace: namespace, Name: lease},
		Object:   &oracle.Object{Lease: said},
	}
}

func TestChangesOfHoldersAreReadOutOfEvents(t *testing.T) {
	const widgets, gadgets = "shardctl.widgets.demo.shardctl.dev.0-of-2", "shardctl.gadgets.demo.shardctl.dev"
	const first, second, again = "a_uid-a_shardctl.one.1", "b_uid-b_shardctl.two.1", "b_uid-b_shardctl.three.1"
	events := []oracle.Event{
		leaseEvent(1, widgets, "", 0, false), // just made
		leaseEvent(2, widgets, first, 1, false),
		leaseEvent(3, gadgets, first, 1, false),
		leaseEvent(4, "shardctl.member-uid-a.shardctl", first, 0, false),
		leaseEvent(5, gadgets, first, 1, false), // an annotation
		leaseEvent(6, widgets, second, 2, true),
		leaseEvent(7, gadgets, second, 2, false),
		leaseEvent(8, widgets, again, 3, false),
		leaseEvent(9, widgets, first, 4, true),
	}
	all := changesIn(events, 2, 8)
	type brief struct {
		revision          int64
		handedOver, moved bool
	}
	want := []brief{{3, false, false}, {6, true, true}, {7, false, true}, {8, false, false}}
	if len(all) != len(want) {
		t.Fatalf("found %v, want %v", all, want)
	}
	for i, c := range all {
		if got := (brief{c.revision, c.handedOver, c.moved()}); got != want[i] {
			t.Errorf("found %+v (%s), want %+v", got, c, want[i])
		}
	}
	if got, want := all.moves(), map[string]int{"widgets.demo.shardctl.dev.0-of-2": 1, "gadgets.demo.shardctl.dev": 1}; !maps.Equal(got, want) {
		t.Errorf("moves are %v, want %v", got, want)
	}
	if of, from := all.of("a"), all.from(again); len(of) != 2 || len(from) != 0 {
		t.Errorf("a lost %v, b's second session %v; want two and none", of, from)
	}
}

func TestADeletedLeaseHasNoHolder(t *testing.T) {
	const name = "shardctl.gadgets.demo.shardctl.dev"
	gone := leaseEvent(2, name, "a_uid_one", 1, false)
	gone.Deleted = true
	all := changesIn([]oracle.Event{leaseEvent(1, name, "a_uid_one", 1, false), gone}, 1, 2)
	if len(all) != 1 || all[0].after != (reign{}) {
		t.Errorf("found %v, want that the shard lost its holder", all)
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"maps"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// layout is the Lease with the layout record, or nil.
func (e *Election) layout() *entry { return e.view.leases[e.view.layout] }

// recorded tells whether the layout record says that the shard exists. Nobody
// claims a shard before it does: else a Lease made later, after the first was
// deleted, could pass for the very first.
func (e *Election) recorded(shard string) bool {
	known := e.layout()
	if known == nil {
		return false
	}
	_, ok := known.layout.Shards[shard]
	return ok
}

// actLayout keeps the layout record: it is created if absent, and every shard
// that this replica serves is entered as soon as its Lease is there.
func (e *Election) actLayout() {
	name := e.view.layout
	if !e.session.valid(e.now) || e.leaving || !e.free(name) {
		return
	}
	known := e.layout()
	var next Layout
	if known != nil {
		var due bool
		if next, due = e.nextLayout(known); !due {
			e.layoutDue = 0
			return
		}
	}
	if !e.layoutTurn() {
		return
	}
	if known == nil {
		e.createLayout(name)
		return
	}
	e.writeLayout(known, next)
}

// nextLayout is the record as it should be, and whether that is news. A shard
// is entered with the UID of its Lease, which may then be claimed without a
// wait, where it is certain that there was none before (R6b).
func (e *Election) nextLayout(known *entry) (next Layout, due bool) {
	settled := e.layoutSettled(known)
	next = Layout{Settled: settled, Shards: maps.Clone(known.layout.Shards)}
	for _, shard := range e.serves {
		l := e.shardEntry(shard)
		if _, recorded := next.Shards[shard]; recorded || l == nil || !l.shown || !e.view.settled(l) {
			continue
		}
		var first LayoutShard
		if settled && l.shard.Holder == "" && l.shard.Epoch == 0 {
			first.FirstUID = l.shard.UID
		}
		next.Shards[shard] = first
	}
	due = len(next.Shards) > len(known.layout.Shards) || next.Settled != known.layout.Settled ||
		!known.shown // somebody took its label away: nobody would see the next change
	return next, due
}

// layoutTurn lets the members try one after the other.
func (e *Election) layoutTurn() bool {
	if e.layoutDue == 0 {
		e.layoutDue = e.now
	}
	rank := slices.IndexFunc(e.members, func(m Candidate) bool { return m.Identity == e.Identity() })
	at := e.layoutDue.Add(e.cfg.Stagger * time.Duration(max(0, rank)) / time.Duration(max(1, len(e.members))))
	if e.now < at {
		e.wakeAt(at)
		return false
	}
	return true
}

// layoutSettled tells whether no term of a time before this layout record can
// still be valid: the record was there when the group was installed, or a
// LeaseDuration has passed since it was first seen.
func (e *Election) layoutSettled(known *entry) bool {
	if known.layout.Settled {
		return true
	}
	due := known.appeared.Add(max(e.view.longest, e.cfg.Timings.LeaseDuration))
	if e.now < due {
		e.wakeAt(due)
		return false
	}
	return true
}

func (e *Election) createLayout(name string) {
	e.send(Op{Verb: Create, Name: name, Why: "create layout record", Lease: &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: e.cfg.Namespace,
			Labels:      map[string]string{LabelGroup: e.cfg.Group, LabelKind: KindLayout},
			Annotations: map[string]string{AnnotationLayout: Layout{Shards: map[string]LayoutShard{}}.encode()},
		},
	}}, nil)
}

func (e *Election) writeLayout(known *entry, next Layout) {
	l := known.lease.DeepCopy()
	l.Labels = annotate(l.Labels, map[string]string{LabelGroup: e.cfg.Group, LabelKind: KindLayout})
	l.Annotations = annotate(l.Annotations, map[string]string{AnnotationLayout: next.encode()})
	e.send(Op{Verb: Update, Name: l.Name, Lease: l, Why: "record layout"}, nil)
}

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

// actLayout keeps the layout record: it is created if absent, says how families
// are divided, and every shard that this replica serves is entered as soon as its
// Lease is there.
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

// nextLayout is the record as it should be, and whether that is news.
func (e *Election) nextLayout(known *entry) (next Layout, due bool) {
	settled := e.layoutSettled(known)
	missing := e.missingShards(known.layout, settled)
	families := e.nextFamilies(known)
	stale := e.staleNow(known.layout)
	due = len(missing) > 0 || len(stale) > 0 || len(families) > 0 || settled != known.layout.Settled ||
		!known.shown // somebody took its label away: nobody would see the next change
	if !due {
		return Layout{}, false
	}
	next = Layout{Settled: settled, Shards: maps.Clone(known.layout.Shards), Families: maps.Clone(known.layout.Families)}
	maps.Copy(next.Shards, missing)
	for _, shard := range stale {
		delete(next.Shards, shard)
	}
	if next.Families == nil {
		next.Families = families
	}
	maps.Copy(next.Families, families)
	return next, true
}

// missingShards are to be entered: each with the UID of its Lease, which may then
// be claimed without a wait, where it is certain that there was none before (R6b).
func (e *Election) missingShards(record Layout, settled bool) map[string]LayoutShard {
	var missing map[string]LayoutShard
	for _, shard := range e.shards {
		l := e.shardEntry(shard)
		if _, recorded := record.Shards[shard]; recorded || l == nil || !l.shown || !e.view.settled(l) {
			continue
		}
		var first LayoutShard
		if settled && l.shard.Holder == "" && l.shard.Epoch == 0 {
			first.FirstUID = l.shard.UID
		}
		if missing == nil {
			missing = map[string]LayoutShard{}
		}
		missing[shard] = first
	}
	return missing
}

// nextFamilies are the families whose entries are to change.
func (e *Election) nextFamilies(record *entry) map[string]LayoutFamily {
	var changed map[string]LayoutFamily
	for _, family := range e.serves {
		if next, due := e.nextFamily(family, record); due {
			if changed == nil {
				changed = map[string]LayoutFamily{}
			}
			changed[family] = next
		}
	}
	return changed
}

// nextFamily is the entry of a family as it should be, and whether that is news.
func (e *Election) nextFamily(family string, record *entry) (next LayoutFamily, due bool) {
	have, ok := record.layout.Families[family]
	// The record's own resourceVersion numbers generations, so that they rise also
	// when it is deleted, and made anew by somebody who never saw it.
	generation := max(int64(min(record.rv, maxCount)), have.Generation+1) //nolint:gosec // bounded
	known, remembered := e.layouts[family]
	switch {
	case remembered && (!ok || have.before(known)): // made anew, or restored
		return e.succeed(family, known, generation), true
	case e.untold(family) || e.outlived[family]: // restored, and nobody remembers what was before
		return e.succeed(family, have, generation), true
	case len(have.From) > 0 && !have.Sealing:
		next = have
		next.Sealing = true
		return next, e.prepared(family, have)
	case len(have.From) > 0:
		next = LayoutFamily{Partitioning: have.Partitioning, Generation: have.Generation}
		return next, e.allSealed(family, have)
	case ok || e.recorded(family):
		want := e.configuredAs(family)
		if want == have.Partitioning || !e.agreed(family, want) {
			return LayoutFamily{}, false
		}
		return change(have.Partitioning, want, generation), true
	}
	if _, implied := e.layoutOf(family); implied {
		return LayoutFamily{}, false // in one piece: the entry of its shard will do
	}
	return e.succeed(family, LayoutFamily{Partitioning: e.configuredAs(family)}, generation), true
}

// change is the layout that follows in order. Two with the same number of buckets
// have Leases of the same names: the family is in one piece in between.
func change(have, want Partitioning, generation int64) LayoutFamily {
	if want.Buckets == have.Buckets {
		want = Partitioning{}
	}
	return LayoutFamily{Partitioning: want, Generation: generation, From: []Partitioning{have}}
}

// succeed is a layout above all that are known of the family, which comes from
// every one of which there may be a Lease with a holder. If that is more than one,
// they must not be held beside each other any longer.
func (e *Election) succeed(family string, known LayoutFamily, generation int64) LayoutFamily {
	next := LayoutFamily{Partitioning: known.Partitioning, Generation: max(generation, known.Generation+1), Sealing: known.Sealing}
	for _, l := range e.leasesOf(family) {
		next.Generation = max(next.Generation, l.shard.Sealed+1, l.shard.Generation+1)
	}
	found := e.divisions(family)
	next.Sealing = next.Sealing || len(found) > 1
	for _, old := range append(slices.Clone(known.From), found...) {
		switch {
		case old == next.Partitioning || slices.Contains(next.From, old):
		case old.Buckets == next.Buckets: // Leases of the same names
			next.Partitioning, next.Sealing = Partitioning{}, true
			next.From = append(next.From, old)
		default:
			next.From = append(next.From, old)
		}
	}
	next.From = slices.DeleteFunc(next.From, func(old Partitioning) bool { return old == next.Partitioning })
	next.Sealing = len(next.From) > 1 || next.Sealing && len(next.From) > 0
	return next
}

// allSealed tells whether nothing is left of what the layout comes from.
func (e *Election) allSealed(family string, l LayoutFamily) bool {
	for _, from := range l.From {
		for _, b := range from.buckets() {
			known := e.view.leases[ShardLeaseName(e.cfg.Group, ShardName(family, b))]
			if known == nil || !e.view.settled(known) || known.shard.Sealed < l.Generation {
				return false
			}
		}
	}
	return true
}

// agreed tells whether a family is to be divided as this replica would: all live
// members know how to change that, and all of the newest revision that could hold
// its shards, this replica among them, would do the same. While members of an older
// one could hold them, and would do otherwise, the newest has to be as many as there
// are to be: new buckets go to the newest revision, and the first member of it alone
// should not have them all.
func (e *Election) agreed(family string, want Partitioning) bool {
	newest, takers, older := e.cfg.Revision, 0, 0
	for _, m := range e.members {
		if m.divides == nil {
			return false
		}
		if m.Takes(family) {
			newest = max(newest, m.Revision)
		}
	}
	for _, m := range e.members {
		switch {
		case !m.Takes(family):
		case m.Revision == newest:
			takers++
		case m.divides[family] != want:
			older++
		}
	}
	if target := e.snapshot.TargetReplicas; older > 0 && (target == 0 || takers < target) {
		return false
	}
	return e.cfg.Revision == newest && e.candidate(e.Identity(), family) &&
		!slices.ContainsFunc(e.members, func(m Candidate) bool {
			return m.Takes(family) && m.Revision == newest && m.divides[family] != want
		})
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

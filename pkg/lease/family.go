// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"maps"
	"slices"
)

// A family of shards is divided as the layout record says, whatever replicas are
// configured for (DESIGN 4.9). Dividing it anew takes two phases:
//
//  1. The record is made to name the new layout, at the next generation, and the
//     old one as what it comes from. The Leases of the new buckets are created
//     and entered; the old buckets are held and handed over as before.
//  2. Once all new buckets are entered, each old Lease is sealed: its holder
//     drains it, and writes the generation into it where it would name a
//     successor; one that nobody holds is sealed by whoever might have taken it,
//     by the same rules. A new bucket is claimed only when every old one that
//     overlaps it is sealed. When all are, the record drops the old layout.
//
// Why no key has two owners: a Lease is claimed by compare-and-swap, by a replica
// that knows a generation g of the record of which the Lease is part, and only if
// it was not sealed by a later one; and, if it is one that g came to, only if all
// of the Leases it overlaps among those that g came from are sealed by g. A seal
// stays, also through later claims. So whatever old record a replica goes by, its
// claim either comes before the seal, and then the seal, and all claims that wait
// for it, come after the end of its term; or it meets the seal.
//
// A record that is gone, or of which an old copy was restored, is written anew at
// a generation above all that are known, and comes from every layout of which
// there is a Lease that may have a holder.

// part is a shard of a family that this replica serves, as the layout says.
type part struct {
	family string
	bucket Bucket
	// generation is that of the layout that says so.
	generation int64
	use        use
	// awaits are the Leases of the last layout that this shard overlaps.
	awaits []string
}

// use is what a shard is for.
type use int

const (
	inUse    use = iota // held by one after the other
	coming              // of the next layout: its Lease is made, and not claimed yet
	retiring            // of the last layout alone: its Lease is sealed
	reshaped            // of both, as different buckets of the same name: sealed first, claimed then
)

// partition replaces what replicas, and the record, say of families by shards. It
// does so again only when that changes.
func (e *Election) partition() {
	record := e.layout()
	seen := shape{view: e.view.version, configured: e.configured}
	if record != nil {
		seen.record = record.rv
	}
	if seen == e.shape {
		return
	}
	e.shape = seen
	e.learnLayouts(record)
	e.parts = map[string]*part{}
	for _, family := range e.serves {
		if l, ok := e.layoutOf(family); ok {
			e.partitionBy(family, l)
		}
	}
	e.shards = slices.Sorted(maps.Keys(e.parts))
	for _, shard := range e.shards {
		if e.claims[shard] == nil {
			e.claims[shard] = &claim{shard: shard, family: e.parts[shard].family, lease: ShardLeaseName(e.cfg.Group, shard)}
		}
	}
	// Claims on shards in one piece are few, and remember the epoch of a Lease that
	// was deleted; those on buckets of earlier layouts would pile up.
	maps.DeleteFunc(e.claims, func(shard string, c *claim) bool {
		return shard != c.family && e.parts[shard] == nil && c.phase == idle && c.working == 0 && !e.busy[c.lease] && e.view.leases[c.lease] == nil
	})
	e.order = slices.SortedFunc(maps.Values(e.claims), func(a, b *claim) int { return cmp.Compare(a.shard, b.shard) })
	e.findStrays(record)
}

// shape is all that the parts depend on.
type shape struct {
	view       uint64
	record     uint64
	configured uint64
}

// learnLayouts remembers the newest layouts: a record that falls behind them was
// made anew or restored.
func (e *Election) learnLayouts(record *entry) {
	if record == nil {
		return
	}
	for family, l := range record.layout.Families {
		if have, ok := e.layouts[family]; !ok || l.Generation > have.Generation ||
			l.Generation == have.Generation && len(l.From) < len(have.From) {
			e.layouts[family] = l
		}
	}
}

// layoutOf is the layout of a family that is served; false if it has to be
// recorded first. In one piece it needs no record but that of its one shard.
func (e *Election) layoutOf(family string) (LayoutFamily, bool) {
	if l, ok := e.layouts[family]; ok {
		return l, true
	}
	whole := e.configuredAs(family) == Partitioning{} && !slices.ContainsFunc(e.leasesOf(family), func(l familyLease) bool { return l.bucket.Of > 0 })
	return LayoutFamily{}, whole || e.recorded(family)
}

// configuredAs is how this replica would divide the family.
func (e *Election) configuredAs(family string) Partitioning { return e.divides[family] }

// familyLease is the Lease of a shard of a family, of whichever layout.
type familyLease struct {
	*entry
	bucket Bucket
}

// leasesOf are the Leases there are of a family, in the order of their names.
func (e *Election) leasesOf(family string) []familyLease {
	var all []familyLease
	for _, name := range e.view.under(e.cfg.Group + "." + family) {
		of, b := ParseShardName(name[len(e.cfg.Group)+1:])
		if of != family {
			continue
		}
		l := familyLease{entry: e.view.leases[name], bucket: b}
		if b.Of > 0 {
			l.bucket.By = cmp.Or(l.shard.Partition, ByUID)
		}
		all = append(all, l)
	}
	return all
}

// divisions are those of which the family has Leases that may have a holder.
func (e *Election) divisions(family string) []Partitioning {
	var found []Partitioning
	for _, l := range e.leasesOf(family) {
		free := l.shard.Holder == "" && (l.shard.Sealed > 0 || !l.shard.Claimed)
		if p := partitioning(l.bucket.Of, l.bucket.By); !free && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// partitionBy makes the parts of one family.
func (e *Election) partitionBy(family string, l LayoutFamily) {
	ready := len(l.From) > 1 || e.prepared(family, l)
	var old []Bucket
	for _, from := range l.From {
		old = append(old, from.buckets()...)
	}
	for _, b := range old {
		of := retiring
		if !ready {
			of = inUse
		}
		e.parts[ShardName(family, b)] = &part{family: family, bucket: b, generation: l.Generation, use: of}
	}
	for _, b := range l.buckets() {
		name := ShardName(family, b)
		had := e.parts[name]
		p := &part{family: family, bucket: b, generation: l.Generation}
		switch {
		case !ready && had != nil:
			continue // for now it is what it was
		case !ready:
			p.use = coming
		case had != nil:
			p.use = reshaped
		}
		for _, o := range old {
			if b.Overlaps(o) {
				p.awaits = append(p.awaits, ShardLeaseName(e.cfg.Group, ShardName(family, o)))
			}
		}
		e.parts[name] = p
	}
}

// prepared tells whether all buckets of the layout that is to come are entered in
// the record, so that nothing is left to wait for but the seals.
func (e *Election) prepared(family string, l LayoutFamily) bool {
	return !slices.ContainsFunc(l.buckets(), func(b Bucket) bool { return !e.recorded(ShardName(family, b)) })
}

// retires tells whether the Lease of a shard has to be sealed.
func (e *Election) retires(shard string, known *entry) bool {
	p := e.parts[shard]
	return p != nil && (p.use == retiring || p.use == reshaped) && known.shard.Sealed < p.generation
}

// claimable tells whether the layout permits to claim the Lease of a shard.
func (e *Election) claimable(shard string, known *entry) bool {
	p := e.parts[shard]
	return p != nil && (p.use == inUse || p.use == reshaped) && known.shard.Sealed <= p.generation && e.sealed(p)
}

// sealed tells whether all the Leases are that a part waits for. One that is not
// there proves nothing: it is made, and sealed like others.
func (e *Election) sealed(p *part) bool {
	return !slices.ContainsFunc(p.awaits, func(name string) bool {
		known := e.view.leases[name]
		return known == nil || known.shard.Sealed < p.generation
	})
}

// predecessors are the sealed Leases that a shard has its keys from.
func (e *Election) predecessors(shard string) []familyLease {
	p := e.parts[shard]
	if p == nil || p.generation == 0 {
		return nil
	}
	var found []familyLease
	for _, l := range e.leasesOf(p.family) {
		if l.lease.Name != ShardLeaseName(e.cfg.Group, shard) && l.shard.Sealed == p.generation && l.bucket.Overlaps(p.bucket) {
			found = append(found, l)
		}
	}
	return found
}

// findStrays finds what is left of earlier layouts: Leases, and entries of the
// record without one.
func (e *Election) findStrays(record *entry) {
	e.strays, e.stale = nil, nil
	settled := func(family string) bool {
		l, ok := e.layouts[family]
		return ok && len(l.From) == 0 && slices.Contains(e.serves, family)
	}
	for _, family := range e.serves {
		for _, l := range e.leasesOf(family) {
			if settled(family) && e.parts[ShardName(family, l.bucket)] == nil {
				e.strays = append(e.strays, l.lease.Name)
			}
		}
	}
	if record == nil {
		return
	}
	for shard := range record.layout.Shards {
		family, _ := ParseShardName(shard)
		if settled(family) && e.parts[shard] == nil && e.view.leases[ShardLeaseName(e.cfg.Group, shard)] == nil {
			e.stale = append(e.stale, shard)
		}
	}
}

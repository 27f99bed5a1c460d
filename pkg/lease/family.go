// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// A family of shards is divided as the layout record says, whatever replicas are
// configured for (DESIGN 4.9). Dividing it anew takes two phases:
//
//  1. The record is made to name the new layout, at the next generation, and the
//     old one as what it comes from. The Leases of the new buckets are created
//     and entered; the old buckets are held and handed over as before.
//  2. Once all new buckets may be claimed, the record says so, and each old Lease
//     is sealed: its holder drains it, and writes the generation into it where it
//     would name a successor; one that nobody holds is sealed by whoever might
//     have taken it, by the same rules. A new bucket is claimed only when every
//     old one that overlaps it is sealed. When all are, the record drops the old
//     layout.
//
// Why no key has two owners: a Lease is claimed by compare-and-swap, by a replica
// whose view shows all that was written before the state of the Lease that it goes
// by. So it knows the record of that time. In the second phase of a generation it
// claims only what overlaps nothing but Leases that are sealed by that generation,
// and such a seal stays as long as the generation does. A later change has the
// Lease sealed before it claims what overlaps that: such a seal comes before the
// claim, and makes it fail, or after it, and then waits for the end of its term.
//
// No Lease is used by two layouts that follow each other: between 4 buckets by UID
// and 4 by key, the family is in one piece for a moment; and one that is left of an
// earlier layout is deleted and made anew. So fencing tokens rise for every key.
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
	retiring            // of the last layout: its Lease is sealed
)

// partition makes the shards of the families that this replica serves, as the
// record says. It does so again only when that, or the configuration, changes.
func (e *Election) partition() {
	record := e.layout()
	seen := shape{configured: e.configured}
	if record != nil {
		seen.record = record.rv
		if record.rv != e.shape.record {
			e.learnLayouts(record)
		}
	}
	if slices.ContainsFunc(e.serves, e.unrecorded) {
		seen.names = e.view.version
	}
	if seen == e.shape {
		return
	}
	e.shape = seen
	e.parts = map[string]*part{}
	e.strays, e.stale, e.outlived, e.strayed = nil, nil, nil, 0
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
	e.order = slices.SortedFunc(maps.Values(e.claims), byPosition)
}

// shape is all that the parts depend on.
type shape struct {
	record     uint64
	configured uint64
	names      uint64 // of Leases, as long as the record does not tell of all families
}

// unrecorded tells whether the record does not tell how a family is divided, so
// that its Leases have to.
func (e *Election) unrecorded(family string) bool {
	_, known := e.layouts[family]
	return !known && !e.recorded(family)
}

// byPosition orders claims by family and by where the range of their bucket begins:
// where two layouts meet, keys that belong together change hands together.
func byPosition(a, b *claim) int {
	_, x := ParseShardName(a.shard)
	_, y := ParseShardName(b.shard)
	first, _ := x.Bounds()
	other, _ := y.Bounds()
	return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(first, other), cmp.Compare(a.shard, b.shard))
}

// learnLayouts remembers the newest layouts: a record that falls behind them was
// made anew or restored.
func (e *Election) learnLayouts(record *entry) {
	for family, l := range record.layout.Families {
		if have, ok := e.layouts[family]; !ok || have.before(l) {
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

// divisions are those of which the family has Leases that are not sealed. Also one
// that nobody has claimed yet may be claimed any moment, by a replica whose view
// lags behind: only a seal keeps it from that.
func (e *Election) divisions(family string) []Partitioning {
	var found []Partitioning
	for _, l := range e.leasesOf(family) {
		free := l.shard.Holder == "" && l.shard.Sealed > 0
		if p := partitioning(l.bucket.Of, l.bucket.By); !free && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// partitionBy makes the parts of one family.
func (e *Election) partitionBy(family string, l LayoutFamily) {
	leases := make([][]string, len(l.From)) // of the old buckets
	for i, from := range l.From {
		for _, b := range from.buckets() {
			p := &part{family: family, bucket: b, generation: l.Generation}
			if l.Sealing {
				p.use = retiring
			}
			name := ShardName(family, b)
			e.parts[name] = p
			leases[i] = append(leases[i], ShardLeaseName(e.cfg.Group, name))
		}
	}
	for _, b := range l.buckets() {
		p := &part{family: family, bucket: b, generation: l.Generation}
		if len(l.From) > 0 && !l.Sealing {
			p.use = coming
		}
		for i, from := range l.From {
			first, last := from.overlapping(b)
			p.awaits = append(p.awaits, leases[i][first:last+1]...)
		}
		e.parts[ShardName(family, b)] = p
	}
}

// prepared tells whether all buckets of the layout that is to come may be claimed
// as soon as the old ones are sealed. An old Lease that is missing will be younger
// than the new ones.
func (e *Election) prepared(family string, l LayoutFamily) bool {
	return !slices.ContainsFunc(l.buckets(), func(b Bucket) bool {
		shard := ShardName(family, b)
		known, p := e.view.leases[ShardLeaseName(e.cfg.Group, shard)], e.parts[shard]
		return known == nil || p == nil || !e.recorded(shard) || e.outdated(p, known) || !e.entitled(shard, known) ||
			slices.ContainsFunc(p.awaits, func(name string) bool { return e.view.leases[name] == nil })
	})
}

// outdated tells whether the Lease of a bucket is to be made anew before it is
// claimed for the first time, so that its fencing tokens are above those of what
// it comes from: one that is left of an earlier layout, or is older than one that
// had keys in common with it.
func (e *Election) outdated(p *part, known *entry) bool {
	if p.use == retiring || known.shard.Sealed >= p.generation {
		return false
	}
	if known.shard.Sealed > 0 || p.use == coming && known.shard.Claimed {
		return true
	}
	if p.generation == 0 || known.shard.Claimed || known.shard.Generation >= p.generation || p.use == inUse && known.shard.Holder != "" {
		return false
	}
	if e.view.highest(p.family, p.bucket).created > known.shard.Created {
		return true
	}
	return p.use == coming && slices.ContainsFunc(p.awaits, func(name string) bool { // that may be claimed yet
		old := e.view.leases[name]
		return old != nil && old.shard.Created > known.shard.Created
	})
}

// retires tells whether the Lease of a shard has to be sealed.
func (e *Election) retires(shard string, known *entry) bool {
	p := e.parts[shard]
	return p != nil && p.use == retiring && known.shard.Sealed < p.generation
}

// claimable tells whether the layout permits to claim the Lease of a shard.
func (e *Election) claimable(shard string, known *entry) bool {
	p := e.parts[shard]
	return p != nil && p.use == inUse && known.shard.Sealed == 0 && e.sealed(p)
}

// contested tells whether somebody of the group holds a Lease, of a layout that the
// record does not tell of, which has keys in common with the shard: the record was
// restored. The claim has to wait until it is put right.
func (e *Election) contested(shard string) bool {
	p := e.parts[shard]
	return slices.ContainsFunc(e.leasesOf(p.family), func(l familyLease) bool {
		return e.parts[ShardName(p.family, l.bucket)] == nil && l.bucket.Overlaps(p.bucket) && e.view.who(l.shard.Holder).record != ""
	})
}

// untold tells whether somebody of the group holds a Lease of a layout that the
// record does not tell of.
func (e *Election) untold(family string) bool {
	return slices.ContainsFunc(e.strays, func(name string) bool {
		known := e.view.leases[name]
		of, _ := ParseShardName(name[len(e.cfg.Group)+1:])
		return of == family && known != nil && e.view.who(known.shard.Holder).record != ""
	})
}

// sealed tells whether all the Leases are that a part waits for. One that is not
// there proves nothing: it is made, and sealed like others.
func (e *Election) sealed(p *part) bool {
	return !slices.ContainsFunc(p.awaits, func(name string) bool {
		known := e.view.leases[name]
		return known == nil || known.shard.Sealed < p.generation
	})
}

// predecessors are the Leases that a bucket has its keys from: those it overlaps
// which were sealed since it was claimed last.
func (e *Election) predecessors(shard string, known *entry) []familyLease {
	p := e.parts[shard]
	if p == nil || p.generation == 0 {
		return nil
	}
	var found []familyLease
	for _, l := range e.leasesOf(p.family) {
		if l.shard.Sealed > known.shard.Generation && l.bucket.Overlaps(p.bucket) {
			found = append(found, l)
		}
	}
	return found
}

// needed tells whether a sealed Lease has to stay because some bucket that has keys
// from it was not claimed since: that claim is to tell what was left here.
func (e *Election) needed(known *entry) bool {
	if known.shard.Epoch == 0 {
		return false // nobody ever had it
	}
	family, b := ParseShardName(known.lease.Name[len(e.cfg.Group)+1:])
	if b.Of > 0 {
		b.By = cmp.Or(known.shard.Partition, ByUID)
	}
	return slices.ContainsFunc(e.shards, func(shard string) bool {
		p, heir := e.parts[shard], e.shardEntry(shard)
		return p.family == family && p.use == inUse && heir != known && p.bucket.Of != b.Of && p.bucket.Overlaps(b) &&
			(heir == nil || heir.shard.Generation < known.shard.Sealed && e.view.who(heir.shard.Holder).record == "")
	})
}

// straysInterval is how often what is left of earlier layouts is looked for.
const straysInterval = time.Second

// findStrays finds what is left of earlier layouts: Leases, entries of the record
// without one, and claims on shards that are no more; and traces of later ones than
// the record tells of, because it was restored.
func (e *Election) findStrays() {
	if e.strayed == e.view.version {
		return
	}
	if due := e.straysAt.Add(straysInterval); e.now < due {
		e.wakeAt(due)
		return
	}
	e.strayed, e.straysAt = e.view.version, e.now
	e.strays, e.stale, e.outlived = nil, nil, map[string]bool{}
	for _, family := range e.serves {
		for _, l := range e.leasesOf(family) {
			if e.parts[ShardName(family, l.bucket)] == nil {
				e.strays = append(e.strays, l.lease.Name)
			}
			if max(l.shard.Sealed, l.shard.Generation) > e.layouts[family].Generation {
				e.outlived[family] = true
			}
		}
		if l, ok := e.layouts[family]; !ok || len(l.From) > 0 {
			continue
		}
		if record := e.layout(); record != nil {
			e.stale = append(e.stale, e.staleEntries(family, record)...)
		}
	}
	// Claims on shards in one piece are few, and remember the epoch of a Lease that
	// was deleted. Those on buckets of earlier layouts would pile up, unless they
	// remember a term that must not begin again (R3).
	gone := func(c *claim) bool {
		return c.shard != c.family && e.parts[c.shard] == nil && c.phase == idle && c.working == 0 && !e.busy[c.lease] &&
			e.view.leases[c.lease] == nil && c.ended == endedTerm{}
	}
	maps.DeleteFunc(e.claims, func(_ string, c *claim) bool { return gone(c) })
	e.order = slices.DeleteFunc(e.order, gone)
}

// staleNow are the stale entries that are still there.
func (e *Election) staleNow(record Layout) []string {
	e.stale = slices.DeleteFunc(e.stale, func(shard string) bool {
		_, there := record.Shards[shard]
		return !there || e.view.leases[ShardLeaseName(e.cfg.Group, shard)] != nil
	})
	return e.stale
}

// staleEntries are those of a family's shards that are no more.
func (e *Election) staleEntries(family string, record *entry) []string {
	var stale []string
	for shard := range record.layout.Shards {
		of, _ := ParseShardName(shard)
		if of == family && e.parts[shard] == nil && e.view.leases[ShardLeaseName(e.cfg.Group, shard)] == nil {
			stale = append(stale, shard)
		}
	}
	return stale
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
	"time"
)

// Snapshot is what an assignment is computed from. Members are sorted by
// identity and shards by name, so that equal views give equal snapshots.
type Snapshot struct {
	Members []Candidate
	Shards  []Assignable
	// TargetReplicas is how many replicas there are to be, as the newest revision
	// was told; 0 if it was not.
	TargetReplicas int
}

func (s Snapshot) equal(other Snapshot) bool {
	return s.TargetReplicas == other.TargetReplicas && slices.Equal(s.Shards, other.Shards) && slices.EqualFunc(s.Members, other.Members, Candidate.equal)
}

// Candidate is a live member of the group.
type Candidate struct {
	Identity string
	Pod      string
	Revision int64
	Ready    bool
	Leaving  bool
	// Cordoned: an operator has asked that it hold nothing.
	Cordoned bool
	// Serves are the families of which the member is able to hold shards, sorted, but for
	// those that it declines. Members that serve the same mostly share one slice.
	Serves []string
	// divides says how the member is configured to divide the families it serves;
	// nil if it knows nothing of that.
	divides map[string]Partitioning
}

func (c Candidate) equal(other Candidate) bool {
	return c.Identity == other.Identity && c.Revision == other.Revision && c.Ready == other.Ready && c.Leaving == other.Leaving &&
		c.Cordoned == other.Cordoned && slices.Equal(c.Serves, other.Serves)
}

// Can tells whether the member is able to hold shards of the family.
func (c Candidate) Can(family string) bool {
	_, ok := slices.BinarySearch(c.Serves, family)
	return ok
}

// Takes tells whether shards of the family may be given to the member now.
func (c Candidate) Takes(family string) bool {
	return c.Ready && !c.Leaving && !c.Cordoned && c.Can(family)
}

// Assignable is a shard as the assignment sees it.
type Assignable struct {
	Name string
	// Family is what the shard is a bucket of: its own name where it is in one
	// piece.
	Family string
	// Load is how many thousandths of a worker the shard keeps busy, as measured by
	// its holder, or by its last one; 0 where it is idle or nobody knows.
	Load int64
	// Holder is the identity of the live member that holds it, or empty.
	Holder string
	// Pinned is the name of the Pod that an operator wants it on, or empty.
	Pinned string
}

// Plan names the identity that should hold each shard. A shard that nobody can
// hold is not in it.
type Plan map[string]string

// plan looks at the members and computes who should hold what.
func (e *Election) plan() Plan {
	e.members = nil
	if !e.session.valid(e.now) {
		return nil
	}
	e.members = e.liveMembers()
	e.noteEmptied()
	// The plan is a function of the snapshot, and most events change nothing in
	// that.
	s := Snapshot{Members: e.members, Shards: e.assignables(e.spare[:0]), TargetReplicas: e.targetReplicas()}
	e.spare = s.Shards
	if e.planned == nil || !s.equal(e.snapshot) {
		e.snapshot, e.planned, e.spare = s, e.cfg.Assign(s), nil
	}
	return e.planned
}

// liveMembers are this replica, whatever has become of its record, and all whose
// records show that their session goes on.
func (e *Election) liveMembers() []Candidate {
	live := []Candidate{{
		Identity: e.Identity(), Pod: e.cfg.Replica.Pod, Revision: e.cfg.Revision, Ready: e.report.Ready, Leaving: e.leaving,
		Cordoned: e.cordoned(), Serves: e.view.without(e.serves, e.report.Declines), divides: e.divides,
	}}
	for _, name := range e.view.names {
		known := e.view.leases[name]
		m := known.member
		switch {
		case !e.view.isMember(name) || name == e.own || m.Ended == m.Holder:
			continue
		case e.memberOf(m.Holder) != known: // a copy of somebody else's
			continue
		case e.over(m.Holder), e.expired(m.Holder, m.Duration):
			continue
		}
		live = append(live, Candidate{
			Identity: m.Holder, Pod: e.view.who(m.Holder).Pod, Revision: m.Revision, Ready: m.Ready, Leaving: m.Leaving,
			Cordoned: m.Cordoned, Serves: e.view.without(m.Serves, m.Declines), divides: m.Buckets,
		})
	}
	slices.SortFunc(live, func(a, b Candidate) int { return cmp.Compare(a.Identity, b.Identity) })
	return live
}

// cordoned tells whether an operator wants this replica to hold nothing.
func (e *Election) cordoned() bool {
	own := e.view.leases[e.own]
	return own != nil && own.member.Cordoned
}

// targetReplicas is what the live members of the newest revision were told.
func (e *Election) targetReplicas() int {
	newest, target := int64(math.MinInt64), 0
	for _, m := range e.members {
		told := e.cfg.TargetReplicas
		if known := e.memberOf(m.Identity); m.Identity != e.Identity() {
			told = known.member.Replicas
		}
		switch {
		case m.Leaving || m.Revision < newest:
		case m.Revision > newest:
			newest, target = m.Revision, told
		default:
			target = max(target, told)
		}
	}
	return target
}

// noteEmptied tells when this replica begins or ceases to be one of an older
// revision that has nothing left to do.
func (e *Election) noteEmptied() {
	superseded := slices.ContainsFunc(e.members, func(m Candidate) bool { return m.Revision > e.cfg.Revision && m.Ready && !m.Leaving })
	if now := superseded && e.idle() && !e.named(e.Identity()); now != e.emptied {
		e.emptied = now
		e.emit(Emptied{Yes: now})
	}
}

// assignables are the shards that can be held now, appended to those given.
func (e *Election) assignables(shards []Assignable) []Assignable {
	// An earlier session of a member counts as that member, which will claim the
	// shard anew: both have one record.
	members := make(map[string]string, len(e.members))
	for _, m := range e.members {
		members[e.view.who(m.Identity).record] = m.Identity
	}
	shards = slices.Grow(shards, len(e.shards))
	for _, name := range e.shards {
		if p := e.parts[name]; p.use == inUse {
			shards = append(shards, e.assignable(name, p.family, members))
		}
	}
	return shards
}

// assignable is one shard; members are the live ones by the names of their records.
func (e *Election) assignable(shard, family string, members map[string]string) Assignable {
	a := Assignable{Name: shard, Family: family}
	known := e.shardEntry(shard)
	if known == nil {
		return a
	}
	a.Load, a.Pinned = known.shard.Load, known.shard.Pinned
	record := e.view.who(cmp.Or(known.shard.Holder, known.shard.Preferred)).record
	if a.Holder = members[record]; a.Holder == "" {
		return a
	}
	if reported, ok := e.reportedLoad(record)[shard]; ok {
		a.Load = max(0, reported)
	}
	return a
}

// reportedLoad is what a member's record says of its shards.
func (e *Election) reportedLoad(record string) map[string]int64 {
	if known := e.view.leases[record]; known != nil {
		return known.member.Load
	}
	return nil
}

// candidate tells whether the identity is a live member to which shards of the
// family can be handed.
func (e *Election) candidate(identity, family string) bool {
	return slices.ContainsFunc(e.members, func(m Candidate) bool {
		return m.Identity == identity && m.Takes(family)
	})
}

// byPreference orders identities for a shard: the planned one first, then by
// rendezvous hash (Thaler, Ravishankar 1998), so that every replica computes
// the same order.
func byPreference(shard, planned, a, b string) int {
	if (a == planned) != (b == planned) {
		if a == planned {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(Affinity(shard, b), Affinity(shard, a)), cmp.Compare(a, b))
}

// Affinity is the rendezvous weight of a member for a shard.
func Affinity(shard, identity string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(shard))
	h.Write([]byte{0})
	h.Write([]byte(identity))
	return mix(h.Sum64())
}

// durationOf is the LeaseDuration of a session, at least the replica's own.
func (e *Election) durationOf(identity string) time.Duration {
	own := e.cfg.Timings.LeaseDuration
	if m := e.memberOf(identity); m != nil && m.member.Holder == identity {
		own = max(own, min(m.member.Duration, maxLeaseDuration))
	}
	return own
}

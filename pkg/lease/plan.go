// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"hash/fnv"
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
	// Serves are the families of which the member is able to hold shards, sorted.
	// Members that serve the same mostly share one slice.
	Serves []string
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
	// The plan is a function of the snapshot, and most events change nothing in
	// that.
	if s := (Snapshot{Members: e.members, Shards: e.assignables()}); e.planned == nil || !s.equal(e.snapshot) {
		e.snapshot, e.planned = s, e.cfg.Assign(s)
	}
	return e.planned
}

// liveMembers are this replica, whatever has become of its record, and all whose
// records show that their session goes on.
func (e *Election) liveMembers() []Candidate {
	live := []Candidate{{
		Identity: e.Identity(), Pod: e.cfg.Replica.Pod, Revision: e.cfg.Revision, Ready: e.report.Ready, Leaving: e.leaving,
		Serves: e.serves,
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
		live = append(live, Candidate{Identity: m.Holder, Pod: e.view.who(m.Holder).Pod, Revision: m.Revision, Ready: m.Ready, Leaving: m.Leaving, Serves: m.Serves})
	}
	slices.SortFunc(live, func(a, b Candidate) int { return cmp.Compare(a.Identity, b.Identity) })
	return live
}

func (e *Election) assignables() []Assignable {
	shards := make([]Assignable, 0, len(e.shards))
	for _, name := range e.serves {
		shards = append(shards, Assignable{Name: name, Family: name, Holder: e.liveHolder(name)})
	}
	return shards
}

// liveHolder is the live member that the shard's record names, or that it was
// given back for; an earlier session of a member counts as that member, which
// will claim it anew.
func (e *Election) liveHolder(shard string) string {
	known := e.shardEntry(shard)
	if known == nil {
		return ""
	}
	record := e.view.who(cmp.Or(known.shard.Holder, known.shard.Preferred)).record
	for _, m := range e.members {
		if record != "" && record == e.view.who(m.Identity).record {
			return m.Identity
		}
	}
	return ""
}

// candidate tells whether the identity is a live member to which the shard can
// be handed.
func (e *Election) candidate(identity, shard string) bool {
	return slices.ContainsFunc(e.members, func(m Candidate) bool {
		return m.Identity == identity && m.Takes(shard)
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

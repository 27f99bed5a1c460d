// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"slices"

	"github.com/shardctl/shardctl/pkg/lease"
)

// assignment in the making. Members and shards are numbered in the order of
// their identities and names, so that a lower number wins a tie.
//
// Members are compared by class: those of one class serve the same families.
// Shards are compared by kind: those of one kind are served by the same
// classes. Where everybody serves everything there is one of each, and no step
// has to look at families again.
type assignment struct {
	carriers []carrier
	parcels  []parcel
	kinds    []kind
	// pools are the members that take shards, by revision and class, the newest
	// revision first; current is how many are of the newest.
	pools   []pool
	current int
	total   int64 // weight of all shards that are assigned
	// advancing is the member of an older revision that gives in this plan, or nobody.
	advancing int32
	slack     int64   // what the rest of an old member may exceed a share by
	uniform   bool    // all shards weigh the same, as idle ones do
	takers    []int32 // scratch of emptiestOfNewest
}

// nobody is the number of no member, noPool that of no pool.
const (
	nobody = -1
	noPool = -1
)

// carrier is a member with what it is to hold.
type carrier struct {
	*lease.Candidate
	class  int
	pool   int // noPool if it takes nothing
	load   int64
	shards int
	held   holding // what may be taken from it
	// levelled: a shard was taken from it, or given to it, by step 5.
	levelled bool
	hash     uint64 // of the identity, once it is needed
}

// parcel is a shard that has a weight.
type parcel struct {
	*lease.Assignable
	weight int64
	kind   int32
	to     int32  // who is to hold it, or nobody
	from   int32  // who holds it, or nobody
	pinned bool   // in force
	hash   uint64 // of the name, once it is needed
}

// kind is of shards that the same members can hold.
type kind struct {
	served []bool // by class
	pools  []int  // that take it, those of the newest revision first
}

// pool is of the members of one revision and class that take shards.
type pool struct {
	revision int64
	class    int
	members  []int32
}

func newAssignment(s lease.Snapshot) *assignment {
	a := &assignment{advancing: nobody, carriers: make([]carrier, len(s.Members)), parcels: make([]parcel, len(s.Shards))}
	members := sortedBy(s.Members, func(m lease.Candidate) string { return m.Identity })
	shards := sortedBy(s.Shards, func(s lease.Assignable) string { return s.Name })
	classes := a.classify(members)
	a.pool()
	a.sortKinds(shards, classes)
	numbers := make(map[string]int32, len(members))
	for i := range members {
		numbers[members[i].Identity] = int32(i) //nolint:gosec // an index
	}
	for i := range a.parcels {
		p := &a.parcels[i]
		p.weight, p.from, p.to = IdleWeight+min(max(p.Load, 0), maxLoad), nobody, nobody
		if number, live := numbers[p.Holder]; live {
			p.from = number
		}
	}
	a.uniform = !slices.ContainsFunc(a.parcels, func(p parcel) bool { return p.weight != a.parcels[0].weight })
	return a
}

// sortedBy returns all in the order of their keys, and leaves the argument as it
// is: it may be shared.
func sortedBy[T any](all []T, key func(T) string) []T {
	compare := func(x, y T) int { return cmp.Compare(key(x), key(y)) }
	if slices.IsSortedFunc(all, compare) {
		return all
	}
	all = slices.Clone(all)
	slices.SortFunc(all, compare)
	return all
}

// classify makes the carriers and finds out which of them serve the same. Most
// share one slice, which need not be read for that.
func (a *assignment) classify(members []lease.Candidate) (classes [][]string) {
	type slice struct {
		first *string
		n     int
	}
	known := map[slice]int{}
	for i := range members {
		serves := members[i].Serves
		same := slice{n: len(serves)}
		if len(serves) > 0 {
			same.first = &serves[0]
		}
		class, ok := known[same]
		if !ok {
			if class = slices.IndexFunc(classes, func(c []string) bool { return slices.Equal(c, serves) }); class < 0 {
				class = len(classes)
				classes = append(classes, serves)
			}
			known[same] = class
		}
		a.carriers[i] = carrier{Candidate: &members[i], class: class, pool: noPool}
	}
	return classes
}

// pool puts the members that take shards into pools.
func (a *assignment) pool() {
	type key struct {
		revision int64
		class    int
	}
	members := map[key][]int32{}
	for i := range a.carriers {
		if c := &a.carriers[i]; c.Ready && !c.Leaving && !c.Cordoned {
			k := key{c.Revision, c.class}
			if members[k] == nil {
				a.pools = append(a.pools, pool{revision: k.revision, class: k.class})
			}
			members[k] = append(members[k], int32(i)) //nolint:gosec // an index
		}
	}
	slices.SortFunc(a.pools, func(x, y pool) int {
		return cmp.Or(cmp.Compare(y.revision, x.revision), cmp.Compare(x.class, y.class))
	})
	for i := range a.pools {
		p := &a.pools[i]
		p.members = members[key{p.revision, p.class}]
		for _, m := range p.members {
			a.carriers[m].pool = i
		}
		if p.revision == a.pools[0].revision {
			a.current = i + 1
		}
	}
}

// sortKinds makes the parcels and finds out which of them the same classes
// serve.
func (a *assignment) sortKinds(shards []lease.Assignable, classes [][]string) {
	known := map[string]int32{}
	served := make([]byte, len(classes))
	for i := range shards {
		a.parcels[i].Assignable = &shards[i]
		if family := shards[i].Family; i > 0 && family == shards[i-1].Family { // buckets follow each other
			a.parcels[i].kind = a.parcels[i-1].kind
			continue
		}
		for c, serves := range classes {
			served[c] = 0
			if _, ok := slices.BinarySearch(serves, shards[i].Family); ok {
				served[c] = 1
			}
		}
		number, ok := known[string(served)]
		if !ok {
			number = int32(len(a.kinds)) //nolint:gosec // an index
			known[string(served)] = number
			a.kinds = append(a.kinds, a.newKind(served))
		}
		a.parcels[i].kind = number
	}
}

func (a *assignment) newKind(served []byte) kind {
	k := kind{served: make([]bool, len(served))}
	for c, yes := range served {
		k.served[c] = yes == 1
	}
	for i := range a.pools {
		if k.served[a.pools[i].class] {
			k.pools = append(k.pools, i)
		}
	}
	return k
}

// give lets the member hold the shard, which nobody holds yet.
func (a *assignment) give(shard int, member int32) {
	p, c := &a.parcels[shard], &a.carriers[member]
	p.to = member
	c.load += p.weight
	c.shards++
	a.total += p.weight
	// What somebody keeps who takes nothing cannot move: nobody takes it.
	if !p.pinned && c.pool != noPool {
		c.held = append(c.held, item{kind: p.kind, shard: int32(shard), weight: p.weight}) //nolint:gosec // an index
	}
}

// move takes a shard from its holder and gives it to another one.
func (a *assignment) move(it item, to int32) {
	giver, taker := &a.carriers[a.parcels[it.shard].to], &a.carriers[to]
	giver.held, taker.held = giver.held.without(it), taker.held.with(it)
	giver.load, taker.load = giver.load-it.weight, taker.load+it.weight
	giver.shards, taker.shards = giver.shards-1, taker.shards+1
	a.parcels[it.shard].to = to
}

// lighter tells whether member x comes before y where the emptier goes first;
// anybody comes before nobody.
func (a *assignment) lighter(x, y int32) bool {
	if x == nobody || y == nobody {
		return y == nobody && x != nobody
	}
	if one, other := a.carriers[x].load, a.carriers[y].load; one != other {
		return one < other
	}
	return x < y
}

// heaviestFirst sorts shards by weight, then name.
func (a *assignment) heaviestFirst(shards []int32) {
	slices.SortFunc(shards, func(x, y int32) int {
		return cmp.Or(cmp.Compare(a.parcels[y].weight, a.parcels[x].weight), cmp.Compare(x, y))
	})
}

// sortHeld sorts what each member holds, once all are given.
func (a *assignment) sortHeld() {
	for i := range a.carriers {
		slices.SortFunc(a.carriers[i].held, item.compare)
	}
}

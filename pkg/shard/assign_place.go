// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"math"
	"math/bits"
	"slices"

	"github.com/shardctl/shardctl/pkg/lease"
)

// place gives away the shards that nobody holds, heaviest first, each to the
// least loaded member of the newest revision that takes it.
func (a *assignment) place(orphans []int32) {
	if len(orphans) == 0 {
		return
	}
	a.heaviestFirst(orphans)
	queues := make([]queueOfTakers, len(a.pools))
	for _, i := range orphans {
		if to := a.leastLoaded(i, queues); to != nobody {
			queues[a.carriers[to].pool].remove(to)
			a.give(int(i), to)
			queues[a.carriers[to].pool].push(a, to)
		}
	}
}

// leastLoaded is who the shard goes to, or nobody.
func (a *assignment) leastLoaded(shard int32, queues []queueOfTakers) int32 {
	best, load, highest := int32(nobody), int64(math.MaxInt64), uint64(0)
	hash := a.hashOfShard(shard)
	pools := a.kinds[a.parcels[shard].kind].pools
	for _, p := range pools {
		if a.pools[p].revision != a.pools[pools[0]].revision {
			break
		}
		emptiest := queues[p].emptiest(a, p)
		switch least := a.carriers[emptiest[0].member].load; {
		case least > load:
			continue
		case least < load:
			best, load = nobody, least
		}
		for _, t := range emptiest {
			if affinity := rendezvous(hash, t.hash); best == nobody || affinity > highest || affinity == highest && t.member < best {
				best, highest = t.member, affinity
			}
		}
	}
	return best
}

// rendezvous is the weight of a member for a shard, made of their two hashes:
// there may be as many ties as members times shards, so each is hashed once. The
// product, folded, depends on every bit of both.
func rendezvous(shard, member uint64) uint64 {
	high, low := bits.Mul64(shard|1, member|1)
	return high ^ low
}

func (a *assignment) hashOfShard(shard int32) uint64 {
	p := &a.parcels[shard]
	if p.hash == 0 {
		p.hash = lease.Affinity(p.Name, "")
	}
	return p.hash
}

func (a *assignment) hashOfMember(member int32) uint64 {
	c := &a.carriers[member]
	if c.hash == 0 {
		c.hash = lease.Affinity("", c.Identity)
	}
	return c.hash
}

// queueOfTakers is a pool in the order of load: those that are emptiest in one
// slice, all others in a heap. Since every shard weighs something, who is given
// one leaves the slice, and it need not be looked for among those that are left.
type queueOfTakers struct {
	least  []hashed
	heap   []int32
	filled bool
}

// hashed is a member with its hash at hand.
type hashed struct {
	member int32
	hash   uint64
}

// emptiest are the members of the pool with the least load.
func (q *queueOfTakers) emptiest(a *assignment, pool int) []hashed {
	if !q.filled {
		q.filled = true
		for _, m := range a.pools[pool].members {
			q.push(a, m)
		}
	}
	if len(q.least) == 0 {
		for ok := true; ok; ok = len(q.heap) > 0 && a.carriers[q.heap[0]].load == a.carriers[q.least[0].member].load {
			m := q.pop(a)
			q.least = append(q.least, hashed{m, a.hashOfMember(m)})
		}
	}
	return q.least
}

// remove takes out one of the emptiest.
func (q *queueOfTakers) remove(member int32) {
	i := slices.IndexFunc(q.least, func(h hashed) bool { return h.member == member })
	last := len(q.least) - 1
	q.least[i] = q.least[last]
	q.least = q.least[:last]
}

func (q *queueOfTakers) push(a *assignment, member int32) {
	q.heap = append(q.heap, member)
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a.lighter(q.heap[i], q.heap[parent]) {
			return
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

func (q *queueOfTakers) pop(a *assignment) int32 {
	top, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if a.lighter(q.heap[child], q.heap[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}

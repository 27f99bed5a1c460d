// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"slices"
	"sort"
)

// item is a shard in a holding.
type item struct {
	kind, shard int32
	weight      int64
}

func (i item) compare(j item) int {
	return cmp.Or(cmp.Compare(i.kind, j.kind), cmp.Compare(i.weight, j.weight), cmp.Compare(i.shard, j.shard))
}

// holding is what may be taken from a member, sorted by kind, then weight, then
// name: what fits a taker best is found by binary search, once for each kind
// that it takes.
type holding []item

func (h holding) with(it item) holding {
	i, _ := slices.BinarySearchFunc(h, it, item.compare)
	return slices.Insert(h, i, it)
}

func (h holding) without(it item) holding {
	i, _ := slices.BinarySearchFunc(h, it, item.compare)
	return slices.Delete(h, i, i+1)
}

// above is where the part of h begins, which is of one kind, that weighs more.
func (h holding) above(weight int64) int {
	return sort.Search(len(h), func(i int) bool { return h[i].weight > weight })
}

// takenBy yields the part of each kind that the class serves.
func (a *assignment) takenBy(class int, h holding) func(yield func(holding) bool) {
	return func(yield func(holding) bool) {
		for len(h) > 0 {
			n := len(h)
			if h[n-1].kind != h[0].kind {
				n, _ = slices.BinarySearchFunc(h, h[0].kind+1, func(it item, kind int32) int { return cmp.Compare(it.kind, kind) })
			}
			if a.kinds[h[0].kind].served[class] && !yield(h[:n]) {
				return
			}
			h = h[n:]
		}
	}
}

// lightest is the least weight of what the class takes; false if it takes
// nothing.
func (a *assignment) lightest(class int, h holding) (weight int64, ok bool) {
	for part := range a.takenBy(class, h) {
		if !ok || part[0].weight < weight {
			weight, ok = part[0].weight, true
		}
	}
	return weight, ok
}

// heaviest is the greatest weight, up to the limit, of what the class takes.
func (a *assignment) heaviest(class int, h holding, limit int64) (weight int64) {
	for part := range a.takenBy(class, h) {
		if i := part.above(limit); i > 0 {
			weight = max(weight, part[i-1].weight)
		}
	}
	return weight
}

// nearest is the weight, up to the limit, that comes closest to half the gap, the
// lighter of two; the limit is below the gap, and the class takes something
// within it.
func (a *assignment) nearest(class int, h holding, gap, limit int64) (weight int64) {
	off := gap // by how much twice the weight misses the gap: less than that
	for part := range a.takenBy(class, h) {
		i := part.above(min((gap-1)/2, limit))
		if i > 0 {
			if below := gap - 2*part[i-1].weight; below < off || below == off && part[i-1].weight < weight {
				weight, off = part[i-1].weight, below
			}
		}
		if i < len(part) && part[i].weight <= limit {
			if above := 2*part[i].weight - gap; above < off {
				weight, off = part[i].weight, above
			}
		}
	}
	return weight
}

// favourite is the one, of those of a weight that the taker takes, that it has
// most affinity to.
func (a *assignment) favourite(h holding, weight int64, taker int32) item {
	best, highest := item{}, uint64(0)
	hash := a.hashOfMember(taker)
	for part := range a.takenBy(a.carriers[taker].class, h) {
		for _, it := range part[part.above(weight-1):] {
			if it.weight != weight {
				break
			}
			if affinity := rendezvous(a.hashOfShard(it.shard), hash); affinity > highest || best.weight == 0 || affinity == highest && it.shard < best.shard {
				best, highest = it, affinity
			}
		}
	}
	return best
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

// level moves one shard between members of the newest revision; false if they
// are even. A move is made if it is useful, due and fits:
//
//   - useful: the shard weighs less than the gap between giver and taker, so the
//     taker has less afterwards than the giver had before, and the sum of the
//     squares of the loads falls;
//   - due: the gap is wider than the tolerance. There is none for shards that all
//     weigh the same: those come out within one of each other, for with two more
//     the gap is wider than a shard;
//   - fits: nobody is filled beyond its fair share while members of an older
//     revision are live, for then some of the newest are still to come;
//   - alone: where weights differ, a member gives or takes one shard in one plan.
//     Moves of a plan are carried out in any order, and everybody plans anew after
//     each: with the second of two done first, another might seem fitter than the
//     first, which is under way already.
//
// It is a move of the fullest giver that has one, to the emptiest taker that it
// has one for, of the shard nearest half the gap.
func (a *assignment) level(tolerance float64, share int64) bool {
	takers, even := a.emptiestOfNewest(), a.even(tolerance)
	giver, taker := int32(nobody), int32(nobody)
	for _, p := range a.pools[:a.current] {
		for _, m := range p.members {
			if !a.fuller(m, giver) {
				continue
			}
			if to := a.relief(m, takers, even, share); to != nobody {
				giver, taker = m, to
			}
		}
	}
	if giver == nobody || !a.uniform && (a.carriers[giver].levelled || a.carriers[taker].levelled) {
		return false
	}
	a.carriers[giver].levelled, a.carriers[taker].levelled = true, true
	held := a.carriers[giver].held
	gap := a.carriers[giver].load - a.carriers[taker].load
	weight := a.nearest(a.carriers[taker].class, held, gap, min(gap-1, a.room(taker, share)))
	a.move(a.favourite(held, weight, taker), taker)
	return true
}

// relief is the emptiest of the takers to which a move is useful, due and fits, or
// nobody.
func (a *assignment) relief(giver int32, takers []int32, even, share int64) int32 {
	best := int32(nobody)
	for _, to := range takers {
		gap := a.carriers[giver].load - a.carriers[to].load
		if gap <= even || !a.lighter(to, best) {
			continue
		}
		light, ok := a.lightest(a.carriers[to].class, a.carriers[giver].held)
		if ok && light < gap && light <= a.room(to, share) {
			best = to
		}
	}
	return best
}

// even is the widest gap that is left alone.
func (a *assignment) even(tolerance float64) int64 {
	var load int64
	var members int
	for _, p := range a.pools[:a.current] {
		for _, m := range p.members {
			load += a.carriers[m].load
		}
		members += len(p.members)
	}
	return int64(tolerance * float64(load) / float64(max(members, 1)))
}

// fuller tells whether member x comes before y where the fullest goes first;
// anybody comes before nobody.
func (a *assignment) fuller(x, y int32) bool {
	if y == nobody || a.carriers[x].load != a.carriers[y].load {
		return y == nobody || a.carriers[x].load > a.carriers[y].load
	}
	return x < y
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"math"

	"github.com/shardctl/shardctl/pkg/lease"
)

// fairShare is what a member of the newest revision has to carry of all shards
// once there are as many members as there are to be; no bound where there is one
// revision. A shard that is more than a share of its own takes up one member, and
// the others have what is left.
func (a *assignment) fairShare(s lease.Snapshot) int64 {
	if a.current == len(a.pools) {
		return math.MaxInt64
	}
	replicas, newest := max(s.TargetReplicas, 0), 0
	for i := range a.carriers {
		if c := &a.carriers[i]; s.TargetReplicas <= 0 && !c.Leaving {
			replicas++
		}
	}
	for _, p := range a.pools[:a.current] {
		newest += len(p.members)
	}
	replicas = max(replicas, newest)
	share := a.total / int64(replicas)
	for heavy := -1; ; {
		before, rest := heavy, a.total
		heavy = 0
		for i := range a.parcels {
			if p := &a.parcels[i]; p.to != nobody && p.weight > share {
				heavy++
				rest -= p.weight
			}
		}
		if heavy == before {
			return share
		}
		share = rest / int64(max(replicas-heavy, 1))
	}
}

// little is how much more than a share does no harm.
func (a *assignment) little(tolerance float64, share int64) int64 {
	if a.current == len(a.pools) {
		return 0
	}
	slack := int64(tolerance / 2 * float64(share))
	if a.uniform && len(a.parcels) > 0 {
		slack = max(slack, a.parcels[0].weight/2)
	}
	return slack
}

// behind tells whether an older revision has shards that the newest takes. What
// a crash has left on the first few of a rolling update then waits for those to
// come, instead of moving with each of them.
func (a *assignment) behind() bool {
	for _, p := range a.pools[a.current:] {
		for _, m := range p.members {
			for _, to := range a.pools[:a.current] {
				if _, ok := a.lightest(to.class, a.carriers[m].held); ok {
					return true
				}
			}
		}
	}
	return false
}

// advance moves one shard from an older revision to the newest; false if none
// fits. It is one of the lightest member that can give any, so that one Pod after
// the other is empty and can be removed without another move. Only one member gives
// in one plan: if the next one gave as well, and was done first, it would be the
// lightest, and both would be emptied.
func (a *assignment) advance(share int64) bool {
	if a.current == len(a.pools) {
		return false
	}
	takers := a.emptiestOfNewest()
	giver, taker := int32(nobody), int32(nobody)
	for _, p := range a.pools[a.current:] {
		for _, m := range p.members {
			if !a.lighter(m, giver) {
				continue
			}
			if to := a.receiver(m, takers, share); to != nobody {
				giver, taker = m, to
			}
		}
	}
	if giver == nobody || a.advancing != nobody && giver != a.advancing {
		return false
	}
	a.advancing = giver
	held := a.carriers[giver].held
	weight := a.heaviest(a.carriers[taker].class, held, a.roomFrom(giver, taker, share))
	a.move(a.favourite(held, weight, taker), taker)
	return true
}

// room is the most that a shard may weigh that the member takes, for it not to
// come above its fair share. One that has no shard yet takes any, for that has
// to be somewhere.
func (a *assignment) room(member int32, share int64) int64 {
	c := &a.carriers[member]
	if c.shards == 0 {
		return math.MaxInt64
	}
	return share - c.load
}

// roomFrom is the room for a shard of the giver. Where all that is left of it fits
// with a little too much, by half of the tolerance or, if all weigh the same, of a
// shard, it goes: the giver is empty then, and can be removed, while a small rest
// could have any other Pod removed first.
func (a *assignment) roomFrom(giver, member int32, share int64) int64 {
	room := a.room(member, share)
	if rest := a.carriers[giver].load; rest <= share && rest-a.slack <= room {
		return max(room, rest)
	}
	return room
}

// receiver is the emptiest of the takers for which the giver has a shard that
// fits, or nobody.
func (a *assignment) receiver(giver int32, takers []int32, share int64) int32 {
	best := int32(nobody)
	for _, to := range takers {
		light, ok := a.lightest(a.carriers[to].class, a.carriers[giver].held)
		if ok && light <= a.roomFrom(giver, to, share) && a.lighter(to, best) {
			best = to
		}
	}
	return best
}

// emptiestOfNewest is the least loaded member of each pool of the newest revision.
// Whatever a giver has for any of the pool, it has for that one: all of them take
// the same, and the emptiest has the most room, and the widest gap.
func (a *assignment) emptiestOfNewest() []int32 {
	takers := a.takers[:0]
	for _, p := range a.pools[:a.current] {
		best := int32(nobody)
		for _, m := range p.members {
			if a.lighter(m, best) {
				best = m
			}
		}
		takers = append(takers, best)
	}
	a.takers = takers
	return takers
}

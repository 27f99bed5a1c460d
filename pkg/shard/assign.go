// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"slices"

	"github.com/shardctl/shardctl/pkg/lease"
)

// IdleWeight is what every shard weighs, in thousandths of a worker, to which
// comes its load. A shard that is idle now is not free, and among idle shards
// the numbers are what is balanced.
const IdleWeight = 50

// maxLoad bounds the load that is believed, 100,000 workers, so that no sum of
// loads overflows.
const maxLoad = 100_000_000

// Assign is the assignment with the default [Balance].
func Assign(s lease.Snapshot) lease.Plan { return Balance{}.Assign(s) }

// Assign says which member should hold each shard. It is a pure function of the
// snapshot, so every replica comes to the same plan without asking; the order of
// members and shards does not matter. A member takes shards while it is ready,
// neither leaving nor cordoned, and only of the families it serves.
//
//  1. A shard that is pinned to a Pod goes to a member of that Pod, whatever its
//     revision, and stays there. A pin to a Pod of which no member takes the shard
//     is ignored.
//  2. Who holds a shard and would take it keeps it. Who is not ready, or
//     cordoned, keeps it while nobody takes it; who leaves keeps nothing.
//  3. Shards without a holder go, heaviest first, to the least loaded member of
//     the newest revision that takes them: the greedy list scheduling of Graham
//     (Bounds on multiprocessing timing anomalies, 1969). Ties go by rendezvous
//     hash (Thaler, Ravishankar: Using name-based mappings to increase hit rates,
//     1998), so that replicas whose snapshots differ still agree on most shards.
//  4. While members of an older revision take shards, theirs move to the newest:
//     those of the lightest member first, so that it is empty and can go, and no
//     member is filled beyond its share of the target number of replicas.
//  5. Once older revisions have nothing left that the newest takes, that is
//     levelled: a shard of the fullest member moves to the emptiest, the one
//     nearest half the gap, while they differ by more than the Tolerance, or by
//     more than one shard where all weigh the same.
//
// Steps 4 and 5 end with the Budget. Nothing but a pin, or the lack of any
// newer member that takes the shard, moves it to an older revision.
//
// A plan that was carried out is left alone, or, if the budget ended it, is gone
// on with: every move of step 4 leaves fewer shards with the older revisions, none
// goes back, and every move of step 5 makes the sum of the squares of the loads
// smaller, so neither can go in circles.
func (b Balance) Assign(s lease.Snapshot) lease.Plan {
	a := newAssignment(s)
	a.place(a.settle())
	a.sortHeld()
	share, tolerance := a.fairShare(s), b.tolerance()
	a.slack = a.little(tolerance, share)
	if a.uniform {
		tolerance = 0
	}
	for range b.budget(len(s.Shards)) {
		if !a.advance(share) && (a.behind() || !a.level(tolerance, share)) {
			break
		}
	}
	return a.plan()
}

// settle gives all shards to their holders that keep them, and those that are
// pinned to the members that they are pinned to. It returns the rest.
func (a *assignment) settle() (orphans []int32) {
	var pins []int32
	pods := a.pods()
	for i := range a.parcels {
		p := &a.parcels[i]
		holder := p.from
		switch pinned := a.pinnedTo(p, pods); {
		case len(pinned) == 0 && a.keeps(holder, p):
			a.give(i, holder)
		case len(pinned) == 0:
			orphans = append(orphans, int32(i)) //nolint:gosec // an index
		case slices.Contains(pinned, holder):
			p.pinned = true
			a.give(i, holder)
		default:
			p.pinned = true
			pins = append(pins, int32(i)) //nolint:gosec // an index
		}
	}
	// Which member of the Pod matters only where it has several; all other loads
	// are known by now.
	a.heaviestFirst(pins)
	for _, i := range pins {
		to := slices.MinFunc(a.pinnedTo(&a.parcels[i], pods), func(x, y int32) int {
			return cmp.Compare(a.carriers[x].load, a.carriers[y].load)
		})
		a.give(int(i), to)
	}
	return orphans
}

// keeps tells whether the holder may go on.
func (a *assignment) keeps(holder int32, p *parcel) bool {
	if holder == nobody {
		return false
	}
	c, kind := &a.carriers[holder], &a.kinds[p.kind]
	return !c.Leaving && kind.served[c.class] && (c.pool != noPool || len(kind.pools) == 0)
}

// pods are the members of each Pod that take anything; nil where nothing is
// pinned.
func (a *assignment) pods() map[string][]int32 {
	if !slices.ContainsFunc(a.parcels, func(p parcel) bool { return p.Pinned != "" }) {
		return nil
	}
	pods := map[string][]int32{}
	for i := range a.carriers {
		if c := &a.carriers[i]; c.pool != noPool {
			pods[c.Pod] = append(pods[c.Pod], int32(i)) //nolint:gosec // an index
		}
	}
	return pods
}

// pinnedTo are the members that the shard is pinned to, by identity.
func (a *assignment) pinnedTo(p *parcel, pods map[string][]int32) []int32 {
	if p.Pinned == "" {
		return nil
	}
	var members []int32
	for _, i := range pods[p.Pinned] {
		if a.kinds[p.kind].served[a.carriers[i].class] {
			members = append(members, i)
		}
	}
	return members
}

// plan is what the assignment has come to.
func (a *assignment) plan() lease.Plan {
	plan := make(lease.Plan, len(a.parcels))
	for i := range a.parcels {
		if p := &a.parcels[i]; p.to != nobody {
			plan[p.Name] = a.carriers[p.to].Identity
		}
	}
	return plan
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"slices"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Tolerance is the difference in the number of shards between two members that
// is left alone: a smaller one cannot be kept by whole shards.
const Tolerance = 1

// Assign says which member should hold each shard. It is a pure function of
// the snapshot, so every replica comes to the same plan without asking:
//
//  1. Who holds a shard keeps it, unless it leaves, or is not ready while
//     another is.
//  2. A shard without a holder goes to the least loaded member of the newest
//     revision that can hold it; ties go by rendezvous hash.
//  3. While two members differ by more than the [Tolerance], a shard moves
//     from the fuller to the emptier one, never to an older revision.
//
// Every shard weighs the same.
func Assign(s lease.Snapshot) lease.Plan {
	a := assignment{plan: lease.Plan{}, held: map[string][]string{}, members: s.Members}
	var orphans []string
	for _, shard := range s.Shards {
		if !a.keep(shard) {
			orphans = append(orphans, shard.Name)
		}
	}
	for _, shard := range orphans {
		if to := a.emptiest(shard); to != nil {
			a.give(shard, to.Identity)
		}
	}
	for range s.Shards { // each move shrinks the gap; no shard moves twice
		if !a.balance() {
			break
		}
	}
	return a.plan
}

// assignment in the making.
type assignment struct {
	plan    lease.Plan
	held    map[string][]string // identity -> shards, in the order given
	members []lease.Candidate
}

func (a *assignment) give(shard, identity string) {
	a.plan[shard] = identity
	a.held[identity] = append(a.held[identity], shard)
}

// keep leaves a shard with its holder, if that may go on.
func (a *assignment) keep(shard lease.Assignable) bool {
	i := slices.IndexFunc(a.members, func(m lease.Candidate) bool { return m.Identity == shard.Holder })
	if i < 0 || a.members[i].Leaving || !a.members[i].Can(shard.Name) {
		return false
	}
	if !a.members[i].Ready && a.emptiest(shard.Name) != nil {
		return false
	}
	a.give(shard.Name, shard.Holder)
	return true
}

// emptiest is the member that a free shard goes to, or nil.
func (a *assignment) emptiest(shard string) *lease.Candidate {
	var best *lease.Candidate
	for i := range a.members {
		if m := &a.members[i]; m.Ready && !m.Leaving && m.Can(shard) && (best == nil || a.better(shard, m, best)) {
			best = m
		}
	}
	return best
}

func (a *assignment) better(shard string, m, than *lease.Candidate) bool {
	return cmp.Or(
		cmp.Compare(than.Revision, m.Revision),
		cmp.Compare(len(a.held[m.Identity]), len(a.held[than.Identity])),
		cmp.Compare(lease.Affinity(shard, than.Identity), lease.Affinity(shard, m.Identity)),
		cmp.Compare(m.Identity, than.Identity),
	) < 0
}

// balance moves one shard across the widest gap; false if no gap is too wide.
func (a *assignment) balance() bool {
	widest, moved, from, to := Tolerance, "", "", ""
	for i := range a.members {
		for j := range a.members {
			giver, taker := &a.members[i], &a.members[j]
			gap := len(a.held[giver.Identity]) - len(a.held[taker.Identity])
			if gap <= widest || !taker.Ready || taker.Leaving || taker.Revision < giver.Revision {
				continue
			}
			if shard := a.spare(giver, taker); shard != "" {
				widest, moved, from, to = gap, shard, giver.Identity, taker.Identity
			}
		}
	}
	if moved == "" {
		return false
	}
	a.held[from] = slices.DeleteFunc(a.held[from], func(s string) bool { return s == moved })
	a.give(moved, to)
	return true
}

// spare is the shard of the giver that fits the taker best.
func (a *assignment) spare(giver, taker *lease.Candidate) string {
	best := ""
	for _, shard := range a.held[giver.Identity] {
		if taker.Can(shard) && (best == "" || lease.Affinity(shard, taker.Identity) > lease.Affinity(best, taker.Identity)) {
			best = shard
		}
	}
	return best
}

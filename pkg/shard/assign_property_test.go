// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

// forRandomSnapshots calls the test for many of them.
func forRandomSnapshots(t *testing.T, test func(t *testing.T, r *rand.Rand, b Balance, s lease.Snapshot)) {
	t.Helper()
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 3))
		b, s := randomBalance(r), randomSnapshot(r)
		test(t, r, b, s)
		if t.Failed() {
			t.Fatalf("seed %d: %+v\nof %s", seed, b, show(s))
		}
	}
}

func TestAssignDoesNotDependOnOrder(t *testing.T) {
	forRandomSnapshots(t, func(t *testing.T, r *rand.Rand, b Balance, s lease.Snapshot) {
		if one, other := b.Assign(s), b.Assign(shuffled(r, s)); !maps.Equal(one, other) {
			t.Errorf("two plans for one snapshot: %v and %v", one, other)
		}
	})
}

func TestAssignLeavesTheSnapshotAlone(t *testing.T) {
	forRandomSnapshots(t, func(t *testing.T, _ *rand.Rand, b Balance, s lease.Snapshot) {
		before := show(s)
		b.Assign(s)
		if after := show(s); after != before {
			t.Errorf("it has become %s", after)
		}
	})
}

func TestAssignComesToRest(t *testing.T) {
	forRandomSnapshots(t, func(t *testing.T, _ *rand.Rand, b Balance, s lease.Snapshot) {
		hold(&s, carryOut(t, b, &s))
		b.Budget = 1
		if plan := b.Assign(s); moved(holders(s), plan) > 0 {
			t.Errorf("a stable group moves something: %v", plan)
		}
	})
}

// A plan is never carried out all at once: whatever part of it has been, the
// rest still ends, with no more moves than it takes to even things out.
func TestAssignComesToRestOneMoveAtATime(t *testing.T) {
	forRandomSnapshots(t, func(t *testing.T, r *rand.Rand, b Balance, s lease.Snapshot) {
		s.Shards, s.Members = slices.Clone(s.Shards), slices.Clone(s.Members)
		for range 50 * (len(s.Shards) + 1) {
			plan := b.Assign(s)
			var due []int
			for i, shard := range s.Shards {
				if plan[shard.Name] != shard.Holder {
					due = append(due, i)
				}
			}
			if len(due) == 0 {
				return
			}
			i := due[r.IntN(len(due))]
			s.Shards[i].Holder = plan[s.Shards[i].Name]
		}
		t.Error("shards move for ever")
	})
}

func holders(s lease.Snapshot) map[string]string {
	holders := map[string]string{}
	for _, shard := range s.Shards {
		if shard.Holder != "" {
			holders[shard.Name] = shard.Holder
		}
	}
	return holders
}

// What a plan may say of a shard, whatever is in the snapshot.
func TestAssignOfOneShard(t *testing.T) {
	forRandomSnapshots(t, func(t *testing.T, _ *rand.Rand, b Balance, s lease.Snapshot) {
		plan := b.Assign(s)
		for _, shard := range s.Shards {
			planned, holder := memberOf(s, plan[shard.Name]), memberOf(s, shard.Holder)
			takers := slices.DeleteFunc(slices.Clone(s.Members), func(m lease.Candidate) bool { return !m.Takes(shard.Family) })
			pinned := isPinned(s, shard)
			switch {
			case planned == nil && len(takers) > 0:
				t.Errorf("%s is not assigned, though %s takes it", shard.Name, takers[0].Identity)
			case planned == nil:
				if holder != nil && !holder.Leaving && holder.Can(shard.Family) {
					t.Errorf("%s is taken from its holder, and nobody else takes it", shard.Name)
				}
			case !planned.Takes(shard.Family) && (len(takers) > 0 || planned != holder || planned.Leaving || !planned.Can(shard.Family)):
				t.Errorf("%s is planned for %s, which does not take it", shard.Name, planned.Identity)
			case pinned && planned.Pod != shard.Pinned:
				t.Errorf("%s is planned for %s, but pinned to %s", shard.Name, planned.Identity, shard.Pinned)
			case !pinned && holder != nil && holder.Takes(shard.Family) && planned.Revision < holder.Revision:
				t.Errorf("%s moves from %s to %s of an older revision", shard.Name, holder.Identity, planned.Identity)
			case !pinned && planned != holder && slices.ContainsFunc(takers, func(m lease.Candidate) bool { return m.Revision > planned.Revision }):
				t.Errorf("%s moves to %s, though a newer revision takes it", shard.Name, planned.Identity)
			}
		}
	})
}

func memberOf(s lease.Snapshot, identity string) *lease.Candidate {
	if i := slices.IndexFunc(s.Members, func(m lease.Candidate) bool { return m.Identity == identity }); i >= 0 {
		return &s.Members[i]
	}
	return nil
}

// While two revisions take shards, no voluntary move takes a member above its
// share by more than half a shard, or half the tolerance, unless it is given its
// only shard.
func TestAssignKeepsToTheFairShare(t *testing.T) {
	checked := 0
	forRandomSnapshots(t, func(t *testing.T, _ *rand.Rand, b Balance, s lease.Snapshot) {
		plan := b.Assign(s)
		if !updating(s) {
			return
		}
		loads, share := loadsOf(s, plan), fairShare(s, plan)
		for _, m := range s.Members {
			got, heaviest := 0, int64(0)
			for _, shard := range s.Shards {
				holder := memberOf(s, shard.Holder)
				if plan[shard.Name] == m.Identity && shard.Holder != m.Identity && holder != nil && holder.Takes(shard.Family) && !isPinned(s, shard) {
					got++
					heaviest = max(heaviest, slowWeight(shard))
				}
			}
			if got == 0 || shardsOf(plan)[m.Identity] == 1 {
				continue
			}
			checked++
			if loads[m.Identity] > share+max(heaviest/2, int64(b.tolerance()/2*float64(share))) {
				t.Errorf("%s comes to carry %d, far above its share of %d", m.Identity, loads[m.Identity], share)
			}
		}
	})
	if checked < 100 {
		t.Errorf("%d members got anything: too few to tell", checked)
	}
}

// updating tells whether members of two revisions take shards.
func updating(s lease.Snapshot) bool {
	return slices.ContainsFunc(s.Members, func(m lease.Candidate) bool { return takesAny(m) && m.Revision < newestRevision(s) })
}

// fairShare is what each replica has to carry.
func fairShare(s lease.Snapshot, plan lease.Plan) int64 {
	newest, live := 0, 0
	for _, m := range s.Members {
		if takesAny(m) && m.Revision == newestRevision(s) {
			newest++
		}
		if !m.Leaving {
			live++
		}
	}
	if s.TargetReplicas > 0 {
		live = s.TargetReplicas
	}
	return slowShare(s.Shards, plan, max(live, newest, 1))
}

func takesAny(m lease.Candidate) bool { return m.Ready && !m.Leaving && !m.Cordoned }

// isPinned tells whether the shard has a pin that is in force.
func isPinned(s lease.Snapshot, shard lease.Assignable) bool {
	return slices.ContainsFunc(s.Members, func(m lease.Candidate) bool {
		return shard.Pinned != "" && m.Pod == shard.Pinned && m.Takes(shard.Family)
	})
}

// newestRevision of the members that take anything.
func newestRevision(s lease.Snapshot) (newest int64) {
	newest = -1
	for _, m := range s.Members {
		if takesAny(m) {
			newest = max(newest, m.Revision)
		}
	}
	return newest
}

// At rest no move between members of the newest revision is useful and due, nor
// does any shard of an older one fit.
func TestAssignIsEvenAtRest(t *testing.T) {
	forRandomSnapshots(t, func(t *testing.T, _ *rand.Rand, b Balance, s lease.Snapshot) {
		plan := carryOut(t, b, &s)
		loads, count, share := loadsOf(s, plan), shardsOf(plan), fairShare(s, plan)
		alike, sum := []lease.Candidate{}, int64(0)
		for _, m := range s.Members {
			if takesAny(m) && m.Revision == newestRevision(s) {
				alike = append(alike, m)
				sum += loads[m.Identity]
			}
		}
		for _, shard := range s.Shards {
			giver := memberOf(s, shard.Holder)
			if giver == nil || isPinned(s, shard) {
				continue
			}
			for _, taker := range alike {
				gap := loads[giver.Identity] - loads[taker.Identity]
				wide := float64(gap) > b.tolerance()*float64(sum)/float64(len(alike)) || slowAlike(s.Shards)
				fits := count[taker.Identity] == 0 || loads[taker.Identity]+slowWeight(shard) <= share
				missed := fits
				if giver.Revision == newestRevision(s) {
					missed = gap > slowWeight(shard) && wide && (fits && !behind(s) || !updating(s))
				}
				if taker.Takes(shard.Family) && missed {
					t.Errorf("%s should move from %s with %d to %s with %d", shard.Name, giver.Identity, loads[giver.Identity], taker.Identity, loads[taker.Identity])
				}
			}
		}
	})
}

// behind tells whether an older revision holds something that the newest takes.
func behind(s lease.Snapshot) bool {
	return slices.ContainsFunc(s.Shards, func(shard lease.Assignable) bool {
		holder := memberOf(s, shard.Holder)
		return holder != nil && holder.Revision < newestRevision(s) && !isPinned(s, shard) &&
			slices.ContainsFunc(s.Members, func(m lease.Candidate) bool { return m.Takes(shard.Family) && m.Revision == newestRevision(s) })
	})
}

// Of shards that weigh the same, no more move than must for all members to be
// within one of each other, whoever joins or leaves.
func TestAssignMovesTheFewest(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 4))
		shards := shardNames(r.IntN(60))
		before := snapshot(memberNames(1+r.IntN(9)), shards, nil)
		held := maps.Clone(map[string]string(carryOut(t, Balance{}, &before)))
		after := snapshot(memberNames(12)[r.IntN(len(before.Members)):1+len(before.Members)+r.IntN(3)], shards, nil)
		for shard, holder := range held {
			if memberOf(after, holder) == nil {
				delete(held, shard)
			}
		}
		fewest := fewestMoves(len(after.Members), len(shards), shardsOf(held))
		for i := range after.Shards {
			after.Shards[i].Holder = held[after.Shards[i].Name]
		}
		plan := Balance{Budget: len(shards) + 1}.Assign(after)
		if got := moved(held, plan); got != fewest {
			t.Fatalf("seed %d: %d move, %d must: %s", seed, got, fewest, show(after))
		}
	}
}

// fewestMoves is how many shards must be taken from those that hold them: as
// many as they have above their shares, of which as many as can be are one
// above the others.
func fewestMoves(members, shards int, held map[string]int) (moves int) {
	least, above := shards/members, shards%members
	for _, n := range held {
		if n > least {
			if above > 0 {
				above--
				n--
			}
			moves += n - least
		}
	}
	return moves
}

// Loads that are measured anew, a twentieth off either way, move nothing.
func TestAssignIgnoresNoise(t *testing.T) {
	for _, exponent := range []float64{0.5, 0.8, 1} {
		r := rand.New(rand.NewPCG(1, 5))
		s := snapshot(memberNames(8), shardNames(128), nil)
		zipf(&s, 2000, exponent)
		carryOut(t, Balance{}, &s)
		measured := slices.Clone(s.Shards)
		for range 100 {
			for i := range s.Shards {
				s.Shards[i].Load = int64(float64(measured[i].Load) * (0.95 + 0.1*r.Float64()))
			}
			if n := moved(holders(s), Assign(s)); n > 0 {
				t.Fatalf("exponent %v: %d shards move", exponent, n)
			}
		}
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

// rollout is a Deployment that replaces its Pods, one more than there are to be
// at a time.
type rollout struct {
	lease.Snapshot
	t      *testing.T
	serves []string
	held   map[string]string // who held a shard last
	moves  map[string]int
	back   int // moves to an old Pod
}

// newRollout is of so many old Pods, with all shards held.
func newRollout(t *testing.T, replicas, shards int, exponent float64) *rollout {
	t.Helper()
	r := &rollout{t: t, serves: shardNames(shards), held: map[string]string{}, moves: map[string]int{}}
	r.Snapshot = snapshot(nil, r.serves, nil)
	if exponent > 0 {
		zipf(&r.Snapshot, 4000, exponent)
	}
	for i := range replicas {
		r.start(fmt.Sprintf("old-%d", i), 1)
	}
	carryOut(t, Balance{}, &r.Snapshot)
	r.held = holders(r.Snapshot)
	return r
}

func (r *rollout) start(name string, revision int64) {
	r.Members = append(r.Members, lease.Candidate{Identity: name, Pod: name, Revision: revision, Ready: true, Serves: r.serves})
	slices.SortFunc(r.Members, func(x, y lease.Candidate) int { return cmp.Compare(x.Identity, y.Identity) })
}

// settle carries plans out until nothing moves, and counts.
func (r *rollout) settle() {
	for range 100 {
		plan, still := Assign(r.Snapshot), true
		for shard, to := range plan {
			if r.held[shard] != to {
				r.moves[shard]++
				still = false
				if memberOf(r.Snapshot, to).Revision == 1 {
					r.back++
				}
			}
			r.held[shard] = to
		}
		hold(&r.Snapshot, plan)
		if still {
			return
		}
	}
	r.t.Fatal("it does not come to rest")
}

func (r *rollout) stop(name string) {
	r.Members = slices.DeleteFunc(r.Members, func(m lease.Candidate) bool { return m.Identity == name })
	for i := range r.Shards {
		if r.Shards[i].Holder == name {
			r.Shards[i].Holder = ""
		}
	}
}

// lightestOld is the old Pod with the lowest deletion cost.
func (r *rollout) lightestOld() string {
	loads, best := loadsOf(r.Snapshot, lease.Plan(holders(r.Snapshot))), ""
	for _, m := range r.Members {
		if m.Revision == 1 && (best == "" || loads[m.Identity] < loads[best]) {
			best = m.Identity
		}
	}
	return best
}

// run replaces all Pods. Those of the numbers given crash when the group has
// settled, and are replaced.
func (r *rollout) run(crash ...int) {
	for i := 0; r.lightestOld() != ""; i++ {
		name := fmt.Sprintf("new-%d", i)
		r.start(name, 2)
		r.settle()
		if slices.Contains(crash, i) {
			r.stop(name)
			r.settle()
			continue
		}
		r.stop(r.lightestOld())
		r.settle()
	}
}

// outcome is moves per shard, moves of the worst shard, and the load of the
// fullest member as a multiple of the mean, or of the heaviest shard where that
// is more.
func (r *rollout) outcome() (perShard float64, worst int, spread float64) {
	var total, heaviest int64
	sum := 0
	for _, shard := range r.Shards {
		total, heaviest = total+slowWeight(shard), max(heaviest, slowWeight(shard))
		sum, worst = sum+r.moves[shard.Name], max(worst, r.moves[shard.Name])
	}
	most := heaviestLoad(r.Snapshot, lease.Plan(holders(r.Snapshot)))
	return float64(sum) / float64(len(r.Shards)), worst, float64(most) / max(float64(total)/float64(len(r.Members)), float64(heaviest))
}

func TestRollingUpdate(t *testing.T) {
	for _, tc := range []struct {
		replicas, shards int
		exponent, spread float64
	}{
		{8, 64, 0, 1.05},
		{8, 100, 0, 1.05},
		{3, 32, 0, 11 / (32.0 / 3)}, // nobody can have 10.67
		{8, 128, 0.5, 1.10},
		{8, 128, 0.8, 1.10},
		{8, 128, 1, 1.10}, // the heaviest is more than the mean
	} {
		for _, target := range []int{tc.replicas, 0} {
			t.Run(fmt.Sprintf("%d shards over %d of %d, exponent %v", tc.shards, tc.replicas, target, tc.exponent), func(t *testing.T) {
				r := newRollout(t, tc.replicas, tc.shards, tc.exponent)
				r.TargetReplicas = target
				r.run()
				perShard, worst, spread := r.outcome()
				t.Logf("%.3f moves per shard, at most %d of one, %.3f times the mean load", perShard, worst, spread)
				if perShard > 1.1 || worst > 2 || r.back > 0 || spread > tc.spread+1e-9 {
					t.Errorf("want at most 1.1 moves per shard, 2 of one, none to an old Pod (not %d), %.3f times the mean", r.back, tc.spread)
				}
			})
			t.Run(fmt.Sprintf("%d shards over %d of %d, exponent %v, with a crash", tc.shards, tc.replicas, target, tc.exponent), func(t *testing.T) {
				for i := 1; i < tc.replicas; i++ { // if the first does, old Pods are all there are
					r := newRollout(t, tc.replicas, tc.shards, tc.exponent)
					r.TargetReplicas = target
					r.run(i)
					perShard, worst, spread := r.outcome()
					t.Logf("number %d crashes: %.3f moves per shard, at most %d of one, %.3f times the mean load", i, perShard, worst, spread)
					if worst > 3 || r.back > 0 || spread > tc.spread+1e-9 {
						t.Errorf("number %d crashes: want at most 3 moves of one shard, none to an old Pod (not %d), %.3f times the mean", i, r.back, tc.spread)
					}
				}
			})
		}
	}
}

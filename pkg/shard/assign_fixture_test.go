// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

func shardNames(n int) []string { return numbered("type-%04d.example.com", n) }

func memberNames(n int) []string { return numbered("pod-%04d", n) }

func numbered(format string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(format, i)
	}
	return names
}

// snapshot of ready members that all serve all shards; holders maps shards to
// members.
func snapshot(members, shards []string, holders map[string]string) lease.Snapshot {
	var s lease.Snapshot
	for _, m := range members {
		s.Members = append(s.Members, lease.Candidate{Identity: m, Pod: m, Ready: true, Serves: shards})
	}
	for _, name := range shards {
		s.Shards = append(s.Shards, lease.Assignable{Name: name, Family: name, Holder: holders[name]})
	}
	return s
}

func shardsOf(plan lease.Plan) map[string]int {
	n := map[string]int{}
	for _, holder := range plan {
		n[holder]++
	}
	return n
}

func moved(before map[string]string, after lease.Plan) (n int) {
	for shard, holder := range before {
		if after[shard] != holder {
			n++
		}
	}
	return n
}

// loadsOf are the weights that each member carries.
func loadsOf(s lease.Snapshot, plan lease.Plan) map[string]int64 {
	loads := map[string]int64{}
	for _, shard := range s.Shards {
		if to := plan[shard.Name]; to != "" {
			loads[to] += slowWeight(shard)
		}
	}
	return loads
}

func heaviestLoad(s lease.Snapshot, plan lease.Plan) (most int64) {
	for _, load := range loadsOf(s, plan) {
		most = max(most, load)
	}
	return most
}

// hold makes the plan what is held.
func hold(s *lease.Snapshot, plan lease.Plan) {
	for i := range s.Shards {
		s.Shards[i].Holder = plan[s.Shards[i].Name]
	}
}

// carryOut carries plans out until nothing moves, and returns the last one.
func carryOut(t *testing.T, b Balance, s *lease.Snapshot) lease.Plan {
	t.Helper()
	var last lease.Plan
	for range 1000 {
		plan := b.Assign(*s)
		if maps.Equal(plan, last) {
			return plan
		}
		hold(s, plan)
		last = plan
	}
	t.Fatalf("after 1000 plans shards still move: %s", show(*s))
	return nil
}

// show is a snapshot for people.
func show(s lease.Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d replicas", s.TargetReplicas)
	for _, m := range s.Members {
		fmt.Fprintf(&b, "\n  %s of %s at %d", m.Identity, m.Pod, m.Revision)
		fmt.Fprintf(&b, ", ready %t, leaving %t, cordoned %t, serves %d", m.Ready, m.Leaving, m.Cordoned, len(m.Serves))
	}
	for _, p := range s.Shards {
		fmt.Fprintf(&b, "\n  %s +%d of %q, pinned to %q", p.Name, p.Load, p.Holder, p.Pinned)
	}
	return b.String()
}

func randomBalance(r *rand.Rand) Balance {
	return Balance{Tolerance: []float64{0, 0.01, 0.5, 1}[r.IntN(4)], Budget: []int{0, 1, 3, 100}[r.IntN(4)]}
}

// randomSnapshot is a small one, in any order, with any of what a snapshot may
// have in it.
func randomSnapshot(r *rand.Rand) lease.Snapshot {
	var families []string
	s := lease.Snapshot{TargetReplicas: r.IntN(7)}
	maxLoad := int64(1) << r.IntN(12)
	for len(s.Shards) < r.IntN(24) {
		family := fmt.Sprintf("type-%02d.example.com", len(families))
		families = append(families, family)
		n := max(1, r.IntN(6)-2)
		for i := range n {
			s.Shards = append(s.Shards, lease.Assignable{Name: lease.ShardName(family, lease.Bucket{Index: i, Of: n}), Family: family, Load: r.Int64N(maxLoad)})
		}
	}
	revisions, trouble, subsets := 1+r.Int64N(3), r.IntN(2) == 0, r.IntN(2) == 0
	for i := range r.IntN(7) {
		m := lease.Candidate{Identity: fmt.Sprintf("pod-%d_a", i), Pod: fmt.Sprintf("pod-%d", i), Revision: r.Int64N(revisions), Ready: true, Serves: families}
		if i > 0 && r.IntN(6) == 0 { // a second container
			m.Pod = s.Members[i-1].Pod
		}
		if trouble {
			m.Ready, m.Leaving, m.Cordoned = r.IntN(4) > 0, r.IntN(6) == 0, r.IntN(5) == 0
		}
		if subsets {
			m.Serves = slices.DeleteFunc(slices.Clone(families), func(string) bool { return r.IntN(4) == 0 })
		}
		s.Members = append(s.Members, m)
	}
	pins, few := r.IntN(3) == 0, 1+r.IntN(max(len(s.Members), 1))
	for i := range s.Shards {
		if len(s.Members) > 0 && r.IntN(4) > 0 {
			s.Shards[i].Holder = s.Members[r.IntN(few)].Identity
		}
		if pins && r.IntN(4) == 0 {
			s.Shards[i].Pinned = fmt.Sprintf("pod-%d", r.IntN(7))
		}
	}
	return shuffled(r, s)
}

func shuffled(r *rand.Rand, s lease.Snapshot) lease.Snapshot {
	s.Members, s.Shards = slices.Clone(s.Members), slices.Clone(s.Shards)
	r.Shuffle(len(s.Members), func(i, j int) { s.Members[i], s.Members[j] = s.Members[j], s.Members[i] })
	r.Shuffle(len(s.Shards), func(i, j int) { s.Shards[i], s.Shards[j] = s.Shards[j], s.Shards[i] })
	return s
}

// zipf makes loads of which the k-th is k to the power of -exponent.
func zipf(s *lease.Snapshot, heaviest, exponent float64) {
	for i := range s.Shards {
		s.Shards[i].Load = int64(heaviest * math.Pow(float64(i+1), -exponent))
	}
}

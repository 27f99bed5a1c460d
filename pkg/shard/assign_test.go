// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

func shardNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("type-%02d.example.com", i)
	}
	return names
}

// snapshot of ready members that all serve all shards; holders maps shards to
// members.
func snapshot(members []string, shards []string, holders map[string]string) lease.Snapshot {
	var s lease.Snapshot
	for _, m := range members {
		s.Members = append(s.Members, lease.Candidate{Identity: m, Ready: true, Serves: shards})
	}
	for _, name := range shards {
		s.Shards = append(s.Shards, lease.Assignable{Name: name, Family: name, Holder: holders[name]})
	}
	return s
}

func loads(plan lease.Plan) map[string]int {
	n := map[string]int{}
	for _, holder := range plan {
		n[holder]++
	}
	return n
}

func moves(before map[string]string, after lease.Plan) int {
	n := 0
	for shard, holder := range before {
		if after[shard] != holder {
			n++
		}
	}
	return n
}

func TestAssignSpreads(t *testing.T) {
	for _, members := range []int{1, 2, 3, 7, 10} {
		names := make([]string, members)
		for i := range names {
			names[i] = fmt.Sprintf("pod-%d", i)
		}
		for _, n := range []int{0, 1, 4, 50} {
			plan := Assign(snapshot(names, shardNames(n), nil))
			if len(plan) != n {
				t.Errorf("%d members, %d shards: %d were assigned", members, n, len(plan))
			}
			least, most := n, 0
			for _, m := range names {
				least, most = min(least, loads(plan)[m]), max(most, loads(plan)[m])
			}
			if most-least > Tolerance {
				t.Errorf("%d members, %d shards: between %d and %d each", members, n, least, most)
			}
		}
	}
}

func TestAssignMovesTheMinimum(t *testing.T) {
	shards := shardNames(12)
	three := Assign(snapshot([]string{"a", "b", "c"}, shards, nil))
	for _, tc := range []struct {
		name    string
		members []string
		want    int
	}{
		{"a stable group moves nothing", []string{"a", "b", "c"}, 0},
		{"a fourth takes its quarter", []string{"a", "b", "c", "d"}, 3},
		{"only the shards of one that is gone move", []string{"a", "c"}, 4},
		{"one for one", []string{"a", "c", "e"}, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			live := maps.Clone(three)
			maps.DeleteFunc(live, func(_, holder string) bool { return !slices.Contains(tc.members, holder) })
			plan := Assign(snapshot(tc.members, shards, live))
			if got := moves(three, plan); got != tc.want {
				t.Errorf("%d shards move, want %d: %v", got, tc.want, plan)
			}
			if again := Assign(snapshot(tc.members, shards, plan)); !maps.Equal(again, plan) {
				t.Errorf("the plan, once carried out, is not left alone: %v, then %v", plan, again)
			}
		})
	}
}

func TestAssignWhoMayHold(t *testing.T) {
	shards := shardNames(4)
	all := map[string]string{shards[0]: "a", shards[1]: "a", shards[2]: "a", shards[3]: "a"}
	for _, tc := range []struct {
		name   string
		change func(*lease.Snapshot)
		want   map[string]int
	}{
		{"the first starter does not keep everything", func(*lease.Snapshot) {}, map[string]int{"a": 2, "b": 2}},
		{"one that leaves keeps nothing", func(s *lease.Snapshot) { s.Members[0].Leaving = true }, map[string]int{"b": 4}},
		{"one that is not ready gets nothing", func(s *lease.Snapshot) { s.Members[1].Ready = false }, map[string]int{"a": 4}},
		{"one that is not ready keeps nothing while another is", func(s *lease.Snapshot) { s.Members[0].Ready = false }, map[string]int{"b": 4}},
		{"if nobody is ready, holders keep what they have", func(s *lease.Snapshot) { s.Members[0].Ready, s.Members[1].Ready = false, false }, map[string]int{"a": 4}},
		{"nothing goes to a member that cannot hold it", func(s *lease.Snapshot) { s.Members[1].Serves = shards[:1] }, map[string]int{"a": 3, "b": 1}},
		{"nothing moves to an older revision", func(s *lease.Snapshot) { s.Members[0].Revision = 2 }, map[string]int{"a": 4}},
		{"a newer revision takes its share", func(s *lease.Snapshot) { s.Members[1].Revision = 2 }, map[string]int{"a": 2, "b": 2}},
		{"without members nothing is planned", func(s *lease.Snapshot) { s.Members = nil }, map[string]int{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := snapshot([]string{"a", "b"}, shards, all)
			tc.change(&s)
			if got := loads(Assign(s)); !maps.Equal(got, tc.want) {
				t.Errorf("shards per member are %v, want %v", got, tc.want)
			}
		})
	}
}

// Whatever a snapshot looks like, the plan is sound, the same each time, and
// stable once carried out.
func TestAssignProperties(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := randomSnapshot(r)
		plan := Assign(s)
		if !maps.Equal(plan, Assign(s)) {
			t.Fatalf("seed %d: two plans for one snapshot", seed)
		}
		for shard, holder := range plan {
			i := slices.IndexFunc(s.Members, func(m lease.Candidate) bool { return m.Identity == holder })
			if i < 0 || s.Members[i].Leaving || !s.Members[i].Can(shard) {
				t.Fatalf("seed %d: shard %s is planned for %q, which cannot hold it", seed, shard, holder)
			}
		}
		for i := range s.Shards {
			s.Shards[i].Holder = plan[s.Shards[i].Name]
		}
		if again := Assign(s); !maps.Equal(again, plan) {
			t.Fatalf("seed %d: the plan is not stable: %v, then %v", seed, plan, again)
		}
	}
}

func randomSnapshot(r *rand.Rand) lease.Snapshot {
	shards := shardNames(r.IntN(20))
	var s lease.Snapshot
	for i := range r.IntN(6) {
		var serves []string
		for _, shard := range shards {
			if r.IntN(5) > 0 {
				serves = append(serves, shard)
			}
		}
		s.Members = append(s.Members, lease.Candidate{
			Identity: fmt.Sprintf("pod-%d", i), Revision: r.Int64N(2), Ready: r.IntN(4) > 0, Leaving: r.IntN(6) == 0, Serves: serves,
		})
	}
	for _, shard := range shards {
		holder := ""
		if len(s.Members) > 0 && r.IntN(3) > 0 {
			holder = s.Members[r.IntN(len(s.Members))].Identity
		}
		s.Shards = append(s.Shards, lease.Assignable{Name: shard, Family: shard, Holder: holder})
	}
	return s
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"maps"
	"slices"
	"testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

func TestAssignSpreads(t *testing.T) {
	for _, members := range []int{1, 2, 3, 7, 10} {
		names := memberNames(members)
		for _, n := range []int{0, 1, 4, 50} {
			plan := Assign(snapshot(names, shardNames(n), nil))
			if len(plan) != n {
				t.Errorf("%d members, %d shards: %d were assigned", members, n, len(plan))
			}
			least, most := n, 0
			for _, m := range names {
				least, most = min(least, shardsOf(plan)[m]), max(most, shardsOf(plan)[m])
			}
			if most-least > 1 {
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
			if got := moved(three, plan); got != tc.want {
				t.Errorf("%d shards move, want %d: %v", got, tc.want, plan)
			}
			if again := Assign(snapshot(tc.members, shards, plan)); !maps.Equal(again, plan) {
				t.Errorf("the plan, once carried out, is not left alone: %v, then %v", plan, again)
			}
		})
	}
}

// Four idle shards of two members, all of them held by the first.
func TestAssignWhoMayHold(t *testing.T) {
	shards := shardNames(4)
	for _, tc := range []struct {
		name   string
		change func(*lease.Snapshot)
		want   map[string]int
	}{
		{"the first starter does not keep everything", func(*lease.Snapshot) {}, map[string]int{"a": 2, "b": 2}},
		{"one that leaves keeps nothing", func(s *lease.Snapshot) { s.Members[0].Leaving = true }, map[string]int{"b": 4}},
		{"one that leaves keeps nothing, even if nobody takes it", func(s *lease.Snapshot) { s.Members[0].Leaving, s.Members[1].Ready = true, false }, map[string]int{}},
		{"one that is not ready gets nothing", func(s *lease.Snapshot) { s.Members[1].Ready = false }, map[string]int{"a": 4}},
		{"one that is not ready keeps nothing while another is", func(s *lease.Snapshot) { s.Members[0].Ready = false }, map[string]int{"b": 4}},
		{"if nobody is ready, holders keep what they have", func(s *lease.Snapshot) { s.Members[0].Ready, s.Members[1].Ready = false, false }, map[string]int{"a": 4}},
		{"one that is cordoned gets nothing", func(s *lease.Snapshot) { s.Members[1].Cordoned = true }, map[string]int{"a": 4}},
		{"one that is cordoned keeps nothing while another takes it", func(s *lease.Snapshot) { s.Members[0].Cordoned = true }, map[string]int{"b": 4}},
		{"if all are cordoned, holders keep what they have", func(s *lease.Snapshot) { s.Members[0].Cordoned, s.Members[1].Cordoned = true, true }, map[string]int{"a": 4}},
		{"one that is cordoned keeps what only it serves", func(s *lease.Snapshot) { s.Members[0].Cordoned, s.Members[1].Serves = true, shards[:3] }, map[string]int{"a": 1, "b": 3}},
		{"nothing goes to a member that cannot hold it", func(s *lease.Snapshot) { s.Members[1].Serves = shards[:1] }, map[string]int{"a": 3, "b": 1}},
		{"nothing stays with a member that serves it no more", func(s *lease.Snapshot) { s.Members[0].Serves = nil }, map[string]int{"b": 4}},
		{"nothing moves to an older revision", func(s *lease.Snapshot) { s.Members[0].Revision = 2 }, map[string]int{"a": 4}},
		{"a newer revision takes its share", func(s *lease.Snapshot) { s.Members[1].Revision = 2 }, map[string]int{"a": 2, "b": 2}},
		{"a newer revision takes its share of the replicas there are to be", func(s *lease.Snapshot) { s.Members[1].Revision, s.TargetReplicas = 2, 4 }, map[string]int{"a": 3, "b": 1}},
		{"one that is leaving is none of the replicas there are to be", func(s *lease.Snapshot) {
			s.Members[1].Revision = 2
			s.Members = append(s.Members, lease.Candidate{Identity: "c", Leaving: true}, lease.Candidate{Identity: "d", Leaving: true})
		}, map[string]int{"a": 2, "b": 2}},
		{"a newer revision that is not ready is none", func(s *lease.Snapshot) {
			s.Members = append(s.Members, lease.Candidate{Identity: "c", Revision: 2, Serves: shards})
		}, map[string]int{"a": 2, "b": 2}},
		{"shards without a holder go to the newest revision", func(s *lease.Snapshot) {
			hold(s, nil)
			s.Members[1].Revision, s.TargetReplicas = 2, 4
		}, map[string]int{"b": 4}},
		{"shards that the newest does not serve go to the next", func(s *lease.Snapshot) {
			hold(s, nil)
			s.Members[1].Revision, s.Members[1].Serves = 2, shards[:1]
		}, map[string]int{"a": 3, "b": 1}},
		{"without members nothing is planned", func(s *lease.Snapshot) { s.Members = nil }, map[string]int{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := snapshot([]string{"a", "b"}, shards, map[string]string{shards[0]: "a", shards[1]: "a", shards[2]: "a", shards[3]: "a"})
			tc.change(&s)
			if got := shardsOf(Assign(s)); !maps.Equal(got, tc.want) {
				t.Errorf("shards per member are %v, want %v", got, tc.want)
			}
		})
	}
}

// Two shards of each of two members; the first is pinned to the Pod b.
func TestAssignPins(t *testing.T) {
	shards := shardNames(4)
	for _, tc := range []struct {
		name   string
		change func(*lease.Snapshot)
		want   string
	}{
		{"a pinned shard goes to its Pod", func(*lease.Snapshot) {}, "b"},
		{"a pinned shard stays, however full its Pod is", func(s *lease.Snapshot) {
			s.Shards[0].Holder, s.Shards[2].Load, s.Shards[3].Load = "b", 1000, 1000
		}, "b"},
		{"a pin may go to an older revision", func(s *lease.Snapshot) { s.Members[0].Revision = 2 }, "b"},
		{"a pinned shard does not move to a newer revision", func(s *lease.Snapshot) { s.Members[0].Revision, s.Shards[0].Holder = 2, "b" }, "b"},
		{"a pin to a Pod without a live member is ignored", func(s *lease.Snapshot) { s.Shards[0].Pinned = "z" }, "a"},
		{"a pin to a member that is cordoned is ignored", func(s *lease.Snapshot) { s.Members[1].Cordoned = true }, "a"},
		{"a pin to a member that is not ready is ignored", func(s *lease.Snapshot) { s.Members[1].Ready = false }, "a"},
		{"a pin to a member that leaves is ignored", func(s *lease.Snapshot) { s.Members[1].Leaving = true }, "a"},
		{"a pin to a member that does not serve it is ignored", func(s *lease.Snapshot) { s.Members[1].Serves = shards[1:] }, "a"},
		{"of two members of the Pod the emptier gets it", func(s *lease.Snapshot) {
			s.Members = append(s.Members, lease.Candidate{Identity: "b2", Pod: "b", Ready: true, Serves: shards})
		}, "b2"},
		{"of two members of the Pod the holder keeps it", func(s *lease.Snapshot) {
			s.Members = append(s.Members, lease.Candidate{Identity: "b2", Pod: "b", Ready: true, Serves: shards})
			s.Shards[0].Holder = "b"
		}, "b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := snapshot([]string{"a", "b"}, shards, map[string]string{shards[0]: "a", shards[1]: "a", shards[2]: "b", shards[3]: "b"})
			s.Shards[0].Pinned = "b"
			tc.change(&s)
			if got := Assign(s)[shards[0]]; got != tc.want {
				t.Errorf("it is to be held by %q, want %q", got, tc.want)
			}
		})
	}
}

// A pin counts before what has no holder is given away.
func TestAssignCountsPins(t *testing.T) {
	s := snapshot([]string{"a", "b"}, shardNames(2), nil)
	s.Shards[1].Pinned = "a"
	if got, want := Assign(s), (lease.Plan{s.Shards[0].Name: "b", s.Shards[1].Name: "a"}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Member a holds shards of some loads, b none.
func TestAssignLevels(t *testing.T) {
	for _, tc := range []struct {
		name  string
		b     Balance
		loads []int64 // of a's shards
		other []int64 // of b's
		want  []int64 // what of a's moves
	}{
		{"the one nearest half the gap", Balance{}, []int64{900, 650, 50}, nil, []int64{900}},
		{"the lighter of two that are as near", Balance{}, []int64{450, 350, 50}, []int64{50}, []int64{350}},
		{"none that weighs as much as the gap", Balance{}, []int64{5000}, nil, nil},
		{"none for a gap within the tolerance", Balance{}, []int64{1000, 50}, []int64{1000}, nil},
		{"one for a gap above the tolerance", Balance{Tolerance: 0.05}, []int64{1000, 10}, []int64{980}, []int64{10}},
		{"one for two shards more of the same weight, within the tolerance", Balance{Tolerance: 1}, []int64{100, 100, 100}, []int64{100}, []int64{100}},
		{"no more than the budget", Balance{Budget: 1}, []int64{0, 0, 0, 0, 0, 0}, nil, []int64{0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			names := shardNames(len(tc.loads) + len(tc.other))
			s := snapshot([]string{"a", "b"}, names, nil)
			for i, load := range slices.Concat(tc.loads, tc.other) {
				s.Shards[i].Load, s.Shards[i].Holder = load, "a"
				if i >= len(tc.loads) {
					s.Shards[i].Holder = "b"
				}
			}
			plan := tc.b.Assign(s)
			var got []int64
			for i, shard := range s.Shards {
				if plan[shard.Name] != shard.Holder {
					if i >= len(tc.loads) {
						t.Errorf("%s of b moves", shard.Name)
					}
					got = append(got, shard.Load)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("loads that move: %v, want %v", got, tc.want)
			}
		})
	}
}

// An old member is emptied before the next gives anything.
func TestAssignEmptiesTheLightestFirst(t *testing.T) {
	s := snapshot([]string{"a", "b", "c"}, shardNames(8), nil)
	for i := range s.Shards {
		s.Shards[i].Holder = "a"
		if i < 3 {
			s.Shards[i].Holder = "b"
		}
	}
	s.Members[2].Revision, s.TargetReplicas = 1, 2
	if got, want := shardsOf(Assign(s)), map[string]int{"a": 5, "c": 3}; !maps.Equal(got, want) {
		t.Errorf("at first shards per member are %v, want %v", got, want)
	}
	if got, want := shardsOf(carryOut(t, Balance{}, &s)), map[string]int{"a": 4, "c": 4}; !maps.Equal(got, want) {
		t.Errorf("shards per member are %v, want %v", got, want)
	}
}

// What is heavier than anybody's share still has to be somewhere.
func TestAssignMovesTheHeaviestToANewRevision(t *testing.T) {
	s := snapshot([]string{"a", "b"}, shardNames(1), nil)
	s.Shards[0].Holder, s.Shards[0].Load = "a", 3000
	s.Members[1].Revision, s.TargetReplicas = 1, 8
	if got := Assign(s)[s.Shards[0].Name]; got != "b" {
		t.Errorf("it is to be held by %q, want b", got)
	}
}

// Loads that nobody can have are bounded, not believed.
func TestAssignBoundsLoads(t *testing.T) {
	s := snapshot([]string{"a", "b"}, shardNames(5), nil)
	for i, load := range []int64{1 << 62, 1 << 62, 1 << 62, -1 << 62, 0} {
		s.Shards[i].Load = load
	}
	if got, want := shardsOf(Assign(s)), map[string]int{"a": 2, "b": 3}; !maps.Equal(got, want) && !maps.Equal(got, map[string]int{"a": 3, "b": 2}) {
		t.Errorf("shards per member are %v, want %v", got, want)
	}
}

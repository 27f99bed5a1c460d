// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"math"
	"testing"
)

func TestImbalance(t *testing.T) {
	member := func(identity string, revision int64) Member {
		return Member{Identity: identity, State: Live, Ready: true, Revision: revision}
	}
	idle := func(holder string, n int) (shards []Shard) {
		for range n {
			shards = append(shards, Shard{Holder: holder, State: Held})
		}
		return shards
	}
	a, b, c := member("a", 1), member("b", 1), member("c", 1)
	busy := []Shard{{Holder: "a", State: Draining, Load: 150}, {Holder: "b", State: Pinned, Load: 50}} // weigh 200 and 100
	old, unready, leaving := member("o", 0), member("u", 2), member("l", 2)
	unready.Ready, leaving.State = false, Leaving
	ofOthers := append(idle("o", 9), append(idle("u", 9), idle("l", 9)...)...)
	for _, tc := range []struct {
		name    string
		members []Member
		shards  []Shard
		want    float64
	}{
		{"nobody", nil, busy, 0},
		{"nothing", []Member{a, b}, nil, 0},
		{"even", []Member{a, b}, append(idle("a", 2), idle("b", 2)...), 0},
		{"seven on three", []Member{a, b, c}, append(idle("a", 2), append(idle("b", 2), idle("c", 3)...)...), 2.0 / 7},
		{"all on one", []Member{a, b, c}, idle("b", 5), 2},
		{"loads", []Member{a, b}, busy, 1.0 / 3},
		{"a load that cannot be", []Member{a, b}, []Shard{{Holder: "a", State: Held, Load: -1000}, {Holder: "b", State: Held}}, 0},
		{"as large as can be", []Member{a, b}, []Shard{{Holder: "a", State: Held, Load: math.MaxInt64}, {Holder: "a", State: Held, Load: math.MaxInt64}}, 1},
		{"who gets nothing new does not count", []Member{old, a, unready, leaving, b, old}, append(ofOthers, busy...), 1.0 / 3},
		{"what is not held does not count", []Member{a, b}, append([]Shard{{Holder: "a", State: Unheld}, {Holder: "a", State: Foreign}}, busy...), 1.0 / 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := Status{Members: tc.members, Shards: tc.shards}
			if got := s.Imbalance(50); math.Abs(got-tc.want) > 1e-9 {
				t.Errorf("the imbalance is %v, want %v", got, tc.want)
			}
		})
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"testing"

	"github.com/shardctl/shardctl/internal/status"
)

func TestBalancedGoesByWeight(t *testing.T) {
	const idle = 0
	for _, test := range []struct {
		name  string
		loads map[string][]int64 // of the shards that each member holds
		want  bool
	}{
		{"one more shard than the other", map[string][]int64{"a": {idle, idle}, "b": {idle}}, true},
		{"two more", map[string][]int64{"a": {idle, idle, idle}, "b": {idle}}, false},
		{"none", map[string][]int64{"a": {idle, idle}, "b": {}}, false},
		{"few busy ones against many idle ones", map[string][]int64{"a": {idle, idle, idle, idle}, "b": {150}}, true},
		{"all busy ones", map[string][]int64{"a": {300, 300}, "b": {idle, idle}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			now, shards := shared(test.loads)
			if err := balanced(shards, len(test.loads))(now); (err == nil) != test.want {
				t.Errorf("balanced says %v", err)
			}
		})
	}
}

func TestBalancedWaitsForWhoComesAndGoes(t *testing.T) {
	now, shards := shared(map[string][]int64{"a": {0}, "b": {0}})
	if err := balanced(shards, 3)(now); err == nil {
		t.Error("two members pass for three")
	}
	now.Members[0].State = status.Leaving
	if err := balanced(shards, 2)(now); err == nil {
		t.Error("a member that leaves passes for one that stays")
	}
	now.Members[0].State = status.Ended
	if err := balanced(shards, 1)(now); err != nil {
		t.Errorf("a session that is over counts as a member: %v", err)
	}
}

// shared is a status in which members hold shards of these loads.
func shared(loads map[string][]int64) (now status.Status, shards int) {
	for pod, of := range loads {
		identity := pod + "_uid-" + pod + "_shardctl.boot.1"
		now.Members = append(now.Members, status.Member{Identity: identity, Pod: pod, State: status.Live, Ready: true})
		for _, load := range of {
			now.Shards = append(now.Shards, status.Shard{Holder: identity, State: status.Held, Load: load})
			shards++
		}
	}
	return now, shards
}

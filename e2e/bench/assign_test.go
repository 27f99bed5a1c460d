// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/shardctl/shardctl/pkg/shard"
)

// What is measured is what it says: nothing is to be done in the stable group, little where one joins or leaves.
func TestAssignments(t *testing.T) {
	cases, err := assignments()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		n := moves(c.snapshot, shard.Assign(c.snapshot))
		least, most := map[string]int{"orphans": assignShards, "join": 1, "leave": 1}[c.name], map[string]int{"orphans": assignShards, "join": 100, "leave": 100}[c.name]
		if n < least || n > most {
			t.Errorf("%s: %d shards move, want %d to %d", c.name, n, least, most)
		}
	}
}

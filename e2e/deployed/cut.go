// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"testing"
	"time"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// testNodeCutOff drops all packets from and to a node whose replica has shards. Nothing tells that it is dead, and it is not: its
// process goes on, and would write if it could. The others wait for its session to expire. When the network is back the replica
// joins again, as a new session. That it wrote nothing in between, the history shows.
func (s *suite) testNodeCutOff(t *testing.T) {
	before := s.awaitShared(t, replicas)
	victim := s.busiest(t, before)
	session := sessionOf(before, victim.Name)
	expired := s.sumOfOthers(t, victim.Name, "expired")
	known := s.sumOfOthers(t, victim.Name, "dead")
	start := time.Now()
	lost := s.during(t, func() {
		heal, err := s.CutNode(t.Context(), victim.Spec.NodeName)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := heal(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		s.await(t, "the others hold everything", fleet.Gone(victim.Name), balanced(s.shards, replicas-1))
		s.expectWork(t)
		if err := heal(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.awaitJoined(t, victim.Name, session)
		s.awaitShared(t, replicas)
		s.expectWork(t)
	}).from(session)
	lost.logSince(t, "the cut", start)
	if len(lost) == 0 {
		t.Error("no shard changed hands")
	}
	lost.expectTaken(t)
	if s.sumOfOthers(t, victim.Name, "expired") == expired {
		t.Error("no other replica counts that the session has expired")
	}
	if s.sumOfOthers(t, victim.Name, "dead") != known {
		t.Error("another replica counts a known death, though nobody can have known")
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

// A type need not be there when its controllers start. The others are led meanwhile, and status says what is waited for; once
// the type appears it is led and reconciled, without a restart. The same holds when it is deleted and created again.
func TestTypeAppearsLateAndComesBack(t *testing.T) {
	t.Parallel()
	const each = 5
	c := newCluster(t)
	early, late := c.createTypes(t, "widgets")[0], c.resourceType("gadgets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), early, late)...)
	widgets := c.watch(t, early)
	widgets.create(t, each)
	d.launch(t, "a", "b")

	d.await(t, "status to say what is waited for", waitsFor(late))
	d.await(t, "the type that is there to be held", heldShard(early))
	widgets.awaitReconciled(t, each)

	for _, round := range []string{"appeared", "came back"} {
		c.createTypes(t, late.Resource)
		served := time.Now()
		d.await(t, "both types to be held, by one replica each", fleet.All(fleet.Spread(2, 2), noProblem(late)))
		t.Logf("the type is led %s after it %s", time.Since(served).Round(time.Millisecond), round)
		gadgets := c.watch(t, late)
		gadgets.create(t, each)
		gadgets.awaitReconciled(t, each)
		gadgets.stop()

		c.deleteType(t, late)
		d.await(t, "status to say what is waited for", waitsFor(late))
		widgets.resize(t, each, len(hook.received()))
		widgets.awaitReconciled(t, each)
	}
	d.journal(t).checkExclusion(t, early, late)
	for _, name := range []string{"a", "b"} {
		if starts := strings.Count(d.log(t, name), "Joining the group"); starts != 1 {
			t.Errorf("replica %s has joined %d times", name, starts)
		}
	}
}

// waitsFor holds if nobody holds the type's shard, and status says that the type is missing.
func waitsFor(r resourceType) fleet.Condition {
	return func(s status.Status) error {
		for _, shard := range s.Shards {
			if shard.Name == r.shard() && shard.State == status.Unheld && strings.Contains(shard.Problem, "Missing") {
				return nil
			}
		}
		return fmt.Errorf("no shard %s that is unheld and has the problem that it is missing", r.shard())
	}
}

// heldShard holds if the type's shard is held.
func heldShard(r resourceType) fleet.Condition {
	return func(s status.Status) error {
		if _, held := fleet.HolderOf(s, r.shard()); !held {
			return fmt.Errorf("shard %s is not held", r.shard())
		}
		return nil
	}
}

// noProblem holds if status has nothing to say against the type's shard.
func noProblem(r resourceType) fleet.Condition {
	return func(s status.Status) error {
		if problem := problemOf(s, r); problem != "" {
			return fmt.Errorf("shard %s: %s", r.shard(), problem)
		}
		return nil
	}
}

func problemOf(s status.Status, r resourceType) string {
	for _, shard := range s.Shards {
		if shard.Name == r.shard() {
			return shard.Problem
		}
	}
	return ""
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// On SIGTERM a replica at work hands each of its shards to another one directly, removes its member Lease and exits with 0.
func TestReplicaHandsOverOnSIGTERM(t *testing.T) {
	t.Parallel()
	const each = 50
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets", "gizmos", "sprockets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	all := c.watchAll(t, types)
	for _, o := range all {
		o.create(t, each)
	}
	d.launch(t, "a", "b", "c")
	before := d.await(t, "three replicas to share four shards", fleet.Spread(4, 3))
	for _, o := range all {
		o.awaitReconciled(t, each)
	}

	leaver := busiest(before)
	given := fleet.ShardsOf(before, leaver.Pod)
	stop := keepChanging(t, all, each)
	busy := len(hook.received())
	eventually(t, "the changes keep the hook busy", func() error { return atLeast(len(hook.received())-busy, each) })
	d.terminate(t, d.Replica(leaver.Pod))
	for _, l := range d.leases(t, lease.KindMember) {
		if l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity == leaver.Identity {
			t.Errorf("member Lease %s is still there", l.Name)
		}
	}
	d.await(t, "the others to share all shards", fleet.Spread(4, 2))
	stop()
	for _, o := range all {
		o.awaitReconciled(t, each)
	}

	j := d.journal(t)
	j.checkEpochs(t)
	j.checkNeverReleased(t)
	j.checkExclusion(t, types...)
	for _, shard := range given {
		i := slices.IndexFunc(j.shards[shard], func(r reign) bool { return r.holder == leaver.Identity })
		if i < 0 || i+1 == len(j.shards[shard]) {
			t.Errorf("shard %s was not handed on by %s: %+v", shard, leaver.Pod, j.shards[shard])
		}
	}
}

// Every replica is replaced by a new one, one after the other, while the objects keep changing.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	const each, replicas = 50, 3
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets", "gizmos", "sprockets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	all := c.watchAll(t, types)
	for _, o := range all {
		o.create(t, each)
	}
	name := func(revision, i int) string { return fmt.Sprintf("v%d-%d", revision, i) }
	for i := range replicas {
		d.launch(t, name(1, i))
	}
	d.await(t, "three replicas to share four shards", fleet.Spread(4, replicas))
	moved := len(d.journal(t).moves())

	stop := keepChanging(t, all, each)
	for i := range replicas {
		d.launch(t, name(2, i))
		d.await(t, "the new replica to be ready", fleet.Spread(4, replicas+1))
		d.terminate(t, d.Replica(name(1, i)))
	}
	after := d.await(t, "three new replicas to share four shards", fleet.Spread(4, replicas))
	changes := stop()
	for _, o := range all {
		o.awaitReconciled(t, each)
	}

	if i := slices.IndexFunc(after.Members, func(m status.Member) bool { return !strings.HasPrefix(m.Pod, "v2-") }); i >= 0 {
		t.Errorf("%s is still a member", after.Members[i].Pod)
	}
	j := d.journal(t)
	j.checkEpochs(t)
	j.checkNeverReleased(t)
	j.checkExclusion(t, types...)
	t.Logf("%d changes were made, and the shards changed hands %d times", changes, len(j.moves())-moved)
}

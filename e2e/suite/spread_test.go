// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"testing"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// Whoever starts first takes everything, since nobody else could; it gives back what others should hold as they come. No
// shard is without a holder meanwhile, and once the shares are even nothing moves any more.
func TestShardsSpreadOverReplicasThatStartLater(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets", "gizmos", "sprockets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	widgets := c.watch(t, types[0])
	widgets.create(t, 3)

	d.launch(t, "first")
	d.await(t, "the first replica to hold everything", fleet.Spread(4, 1))
	widgets.awaitReconciled(t, 3)

	d.launch(t, "second")
	d.await(t, "two replicas to hold two shards each", fleet.Spread(4, 2))
	d.launch(t, "third")
	before := d.await(t, "three replicas to share four shards", fleet.Spread(4, 3))

	// Some heartbeats later, each of which could have been a reason to move something.
	widgets.resize(t, 3, 1)
	widgets.awaitReconciled(t, 3)
	d.awaitHeartbeats(t, 5)
	after := d.await(t, "the shares to be even still", fleet.Spread(4, 3))
	for i, shard := range after.Shards {
		if shard.Epoch != before.Shards[i].Epoch {
			t.Errorf("shard %s moved from %s to %s although the shares were even", shard.Name, before.Shards[i].Holder, shard.Holder)
		}
	}
	j := d.journal(t)
	j.checkEpochs(t)
	j.checkNeverReleased(t)
	j.checkExclusion(t, types...)
}

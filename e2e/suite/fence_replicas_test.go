// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"testing"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/pkg/lease"
)

// Replicas do their work behind the fence, and when one is stopped in its tracks and its shards are taken over, the API server
// refuses what comes from its Pod, whatever that believes to hold.
func TestFenceStopsAPausedReplica(t *testing.T) {
	t.Parallel()
	const objects, buckets = 8, 4
	for _, partition := range lease.Partitions() {
		t.Run(string(partition), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			types := c.createTypes(t, "widgets")
			d := c.deploy(t, role{
				resourceType: types[0], hook: webhook(serveHook(t, attaching("a")), hookTimeout), attach: true, finalize: true,
				buckets: buckets, partition: partition,
			})
			f := &fenced{cluster: c}
			f.sentinel(t)
			f.apply(t, d.printedFence(t))
			widgets := c.watch(t, types[0])
			widgets.create(t, objects)
			d.launch(t, "a", "b")
			d.await(t, "both replicas to hold buckets", fleet.Spread(buckets, 2))
			widgets.awaitReconciled(t, objects)

			paused := d.Replica("a")
			stranger := func(name string) error { return touch(t.Context(), f.objects(paused.Pod(), types[0]), name, "status") }
			if err := paused.Pause(); err != nil {
				t.Fatal(err)
			}
			d.await(t, "the other replica to hold all", fleet.SpreadOver(buckets, "b"))
			for _, o := range widgets.list(t) {
				awaitRefused(t, func() error { return stranger(o.GetName()) })
				awaitRefused(t, func() error {
					return touch(t.Context(), in(as(paused.Pod()), configMaps, c.namespace), o.GetName()+"-a")
				})
			}
			widgets.resize(t, objects, 1)
			widgets.awaitReconciled(t, objects)

			if err := paused.Resume(); err != nil {
				t.Fatal(err)
			}
			d.await(t, "both replicas to hold buckets again", fleet.Spread(buckets, 2))
			widgets.resize(t, objects, 2)
			widgets.awaitReconciled(t, objects)
			d.journal(t).checkBuckets(t, types[0], partition)
		})
	}
}

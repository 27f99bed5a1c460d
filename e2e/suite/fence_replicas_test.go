// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
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
			d.launch(t, "a", "b")
			d.await(t, "both replicas to hold buckets", fleet.Spread(buckets, 2))
			widgets := c.watch(t, types[0])
			widgets.create(t, objects) // not before there are Leases
			widgets.awaitReconciled(t, objects)

			paused := d.Replica("a")
			if err := paused.Pause(); err != nil {
				t.Fatal(err)
			}
			d.await(t, "the other replica to hold all", fleet.All(fleet.Held(buckets), holdsNone("a")))
			for _, o := range widgets.list(t) {
				awaitRefused(t, func() error { return f.writeAs(t, paused.Pod(), types[0].GroupVersionResource, o.GetName(), "status") })
				awaitRefused(t, func() error { return f.writeAs(t, paused.Pod(), configMaps, o.GetName()+"-a") })
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

// writeAs sends what a replica would: it may update, and no more than that.
func (f *fenced) writeAs(t *testing.T, pod *controlplane.Replica, gvr schema.GroupVersionResource, name string, subresources ...string) error {
	t.Helper()
	now, err := in(f.dynamic, gvr, f.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now.SetLabels(map[string]string{"touched": "yes"})
	_, err = in(as(pod), gvr, f.namespace).Update(t.Context(), now, metav1.UpdateOptions{DryRun: dryRun}, subresources...)
	return err
}

// holdsNone holds once the Pod has no shard.
func holdsNone(pod string) fleet.Condition {
	return func(s status.Status) error {
		if n := len(fleet.ShardsOf(s, pod)); n > 0 {
			return fmt.Errorf("%s holds %d shards", pod, n)
		}
		return nil
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// handOff is for how long nobody may have an object's bucket while the number of buckets changes: many times as long as it
// takes to hand a shard over, for the sake of busy machines, but far from the LeaseDuration for which one waits that has to be
// taken from a replica that is dead.
const handOff = time.Second

// Types that are divided into buckets are worked on by all replicas at once, each object by the holder of its bucket alone.
func TestBucketsAreSharedOut(t *testing.T) {
	t.Parallel()
	const each, buckets, replicas = 60, 4, 3
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets")
	hook := serveHook(t, answerWith(reflectSpec))
	roles := rolesFor(webhook(hook, hookTimeout), types...)
	partitions := []lease.Partition{lease.ByUID, lease.ByKey}
	for i := range roles {
		roles[i].buckets, roles[i].partition = buckets, partitions[i]
	}
	d := c.deploy(t, roles...)
	all := c.watchAll(t, types)
	for _, o := range all {
		o.create(t, each)
	}
	d.launch(t, "a", "b", "c")
	s := d.await(t, "three replicas to share the buckets of two types", fleet.Spread(len(types)*buckets, replicas))
	checkNames(t, s, types, buckets)
	for _, o := range all {
		o.awaitReconciled(t, each)
		o.resize(t, each, 1)
		o.awaitReconciled(t, each)
		o.replace(t, each/2) // under names that are in use
		o.awaitReconciled(t, each)
	}

	j := d.journal(t)
	j.checkEpochs(t)
	everybody := map[string]int{}
	for i, r := range types {
		j.checkOverlaps(t, r, partitions[i])
		writers := j.checkBuckets(t, r, partitions[i])
		t.Logf("%d %s in %d buckets by %s were written, by %v", each+each/2, r.Resource, buckets, partitions[i], writers)
		for pod, n := range writers {
			everybody[pod] += n
		}
	}
	if len(everybody) != replicas {
		t.Errorf("objects were written by %v, want each of %d replicas to have its part", everybody, replicas)
	}
}

// The number of buckets is changed, up and down, by rolling updates, while the objects keep changing: replicas with the old
// and with the new number work side by side, and no object is ever in the hands of two, nor of nobody for long.
func TestBucketsChangeInARollingUpdate(t *testing.T) {
	t.Parallel()
	for _, by := range []lease.Partition{lease.ByUID, lease.ByKey} {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			const each, replicas = 50, 3
			c := newCluster(t)
			types := c.createTypes(t, "widgets")
			hook := serveHook(t, answerWith(reflectSpec))
			divided := func(buckets int) role {
				return role{resourceType: types[0], hook: webhook(hook, hookTimeout), buckets: buckets, partition: by}
			}
			numbers := []int{4, 6, 3}
			d := c.deploy(t, divided(numbers[0]))
			widgets := c.watch(t, types[0])
			widgets.create(t, each)
			name := func(version, i int) string { return fmt.Sprintf("v%d-%d", version, i) }
			for i := range replicas {
				d.launch(t, name(0, i))
			}
			d.await(t, "three replicas to share the buckets", fleet.Spread(numbers[0], replicas))
			widgets.awaitReconciled(t, each)
			stop := keepChanging(t, []*objects{widgets}, each)
			for version, buckets := range numbers[1:] {
				config := c.configurationFile(t, divided(buckets))
				for i := range replicas {
					d.launchWith(t, name(version+1, i), "--config", config)
					d.await(t, "the new replica to take part", fleet.Leads(name(version+1, i)))
					d.terminate(t, d.Replica(name(version, i)))
				}
				s := d.await(t, fmt.Sprintf("three new replicas to share %d buckets", buckets), fleet.All(fleet.Spread(buckets, replicas), shards(buckets)))
				checkNames(t, s, types, buckets)
			}
			changes := stop()
			widgets.awaitReconciled(t, each)

			j := d.journal(t)
			j.checkEpochs(t)
			j.checkOverlaps(t, types[0], by)
			writers := j.checkBuckets(t, types[0], by)
			longest := j.longestUnowned(types[0], by, widgets.positions(t, by))
			if longest > handOff {
				t.Errorf("an object was in nobody's bucket for %s: want no more than a hand-off, which %s is for a busy machine", longest, handOff)
			}
			t.Logf("%d changes were made; %d replicas wrote; no object was in nobody's bucket for longer than %s", changes, len(writers), longest.Round(time.Millisecond))
		})
	}
}

// configurationFile is for replicas that are launched with another configuration than the group was installed with.
func (c *cluster) configurationFile(t *testing.T, roles ...role) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, c.configuration(t, roles...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// shards holds if there are exactly so many, those of earlier layouts not counted.
func shards(n int) fleet.Condition {
	return func(s status.Status) error {
		if len(s.Shards) != n {
			return fmt.Errorf("there are %d shards, not %d", len(s.Shards), n)
		}
		return nil
	}
}

// checkNames fails the test unless the shards are the buckets of the types.
func checkNames(t *testing.T, s status.Status, types []resourceType, buckets int) {
	t.Helper()
	var got, want []string
	for _, shard := range s.Shards {
		got = append(got, shard.Name)
	}
	for _, r := range types {
		for i := range buckets {
			want = append(want, fmt.Sprintf("%s.%d-of-%d", r.shard(), i, buckets))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the shards are %q, want %q", got, want)
	}
}

// replace deletes n objects and makes them anew, each under its name.
func (o *objects) replace(t *testing.T, n int) {
	t.Helper()
	o.forAll(t, n, func(ctx context.Context, name string) error {
		return o.client().Delete(ctx, name, metav1.DeleteOptions{})
	})
	o.create(t, n)
}

// positions are those of all objects there are.
func (o *objects) positions(t *testing.T, by lease.Partition) []uint32 {
	t.Helper()
	var all []uint32
	for _, object := range o.list(t) {
		all = append(all, by.Position(object.GetUID(), object.GetNamespace(), object.GetName()))
	}
	return all
}

// bucketReign is what the Lease of a bucket said from a revision on.
type bucketReign struct {
	reign
	shard  string
	bucket lease.Bucket
}

// bucketsOf returns what the Leases of a type's buckets said, of all layouts, oldest first.
func (j *journal) bucketsOf(r resourceType, by lease.Partition) []bucketReign {
	var all []bucketReign
	for shard, reigns := range j.shards {
		family, bucket := lease.ParseShardName(shard)
		if family != r.shard() {
			continue
		}
		if bucket.Of > 0 {
			bucket.By = by
		}
		for _, one := range reigns {
			all = append(all, bucketReign{one, shard, bucket})
		}
	}
	slices.SortFunc(all, func(a, b bucketReign) int { return cmp.Compare(a.revision, b.revision) })
	return all
}

// checkOverlaps fails the test if two buckets that share positions were held at a time.
func (j *journal) checkOverlaps(t *testing.T, r resourceType, by lease.Partition) {
	t.Helper()
	held := map[string]bucketReign{}
	for _, now := range j.bucketsOf(r, by) {
		delete(held, now.shard)
		if now.holder == "" {
			continue
		}
		for _, other := range held {
			if other.bucket.Overlaps(now.bucket) {
				t.Errorf("revision %d: %s is held by %q while %s is by %q, since revision %d",
					now.revision, now.shard, now.holder, other.shard, other.holder, other.revision)
			}
		}
		held[now.shard] = now
	}
	if len(held) == 0 {
		t.Errorf("no bucket of %s was ever held: nothing was proved", r.shard())
	}
}

// checkBuckets fails the test for every write of an object by a Pod that did not hold the object's bucket, of whichever
// layout. It returns how many objects each Pod has written.
func (j *journal) checkBuckets(t *testing.T, r resourceType, by lease.Partition) (writers map[string]int) {
	t.Helper()
	reigns := j.bucketsOf(r, by)
	written := map[string]map[apitypes.UID]bool{}
	for _, w := range j.writes {
		if w.resource != r.shard() {
			continue
		}
		position := by.Position(w.uid, j.namespace, w.name)
		held := map[string]bucketReign{}
		for _, now := range reigns {
			if now.revision > w.revision {
				break
			}
			delete(held, now.shard)
			if now.holder != "" && now.bucket.Contains(position) {
				held[now.shard] = now
			}
		}
		holders := slices.Collect(maps.Values(held))
		if len(holders) != 1 {
			t.Errorf("revision %d: %s wrote %s %s while its bucket was held by %v", w.revision, w.podName, w.resource, w.name, holders)
			continue
		}
		if id, err := lease.ParseIdentity(holders[0].holder); err != nil || id.UID != w.podUID {
			t.Errorf("revision %d: %s wrote (%s) %s %s, while %s was held by %q (epoch %d, since revision %d)",
				w.revision, w.podName, w.verb, w.resource, w.name, holders[0].shard, holders[0].holder, holders[0].epoch, holders[0].revision)
		}
		if written[w.podName] == nil {
			written[w.podName] = map[apitypes.UID]bool{}
		}
		written[w.podName][w.uid] = true
	}
	if len(written) == 0 {
		t.Errorf("no write of any of %s is in the audit log: nothing was proved", r.shard())
	}
	writers = map[string]int{}
	for pod, objects := range written {
		writers[pod] = len(objects)
	}
	return writers
}

// longestUnowned is the longest time for which nobody held the bucket of a position, once somebody had.
func (j *journal) longestUnowned(r resourceType, by lease.Partition, positions []uint32) (longest time.Duration) {
	reigns := j.bucketsOf(r, by)
	for _, position := range positions {
		holder := ""         // the shard by which the position is held
		var since *time.Time // when it was last
		for _, now := range reigns {
			switch {
			case !now.bucket.Contains(position):
			case now.holder != "":
				if since != nil {
					longest = max(longest, now.at.Sub(*since))
				}
				holder, since = now.shard, nil
			case now.shard == holder:
				holder, since = "", &now.at
			}
		}
	}
	return longest
}

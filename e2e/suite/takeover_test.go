// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

// takeOverMargin is for the machine that the tests run on: the design promises 1 s.
const takeOverMargin = 15 * time.Second

// A replica is killed while it is at work on a flood of changes. Its shards are held again one LeaseDuration after its last
// heartbeat, not earlier, and in the end every object is as its last change wants it.
func TestKilledReplicaIsTakenOver(t *testing.T) {
	t.Parallel()
	const each = 200
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets", "gizmos", "sprockets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	all := c.watchAll(t, types)
	d.launch(t, "a", "b", "c")
	before := d.await(t, "three replicas to share four shards", fleet.Spread(4, 3))
	for _, o := range all {
		o.create(t, each)
	}
	for _, o := range all {
		o.awaitReconciled(t, each)
	}

	// The victim holds two of the four shards.
	victim := d.Replica(busiest(before).Pod)
	orphans := fleet.ShardsOf(before, victim.Name())
	stop := keepChanging(t, all, each)
	flooded := len(hook.received())
	eventually(t, "the changes keep the hook busy", func() error { return atLeast(len(hook.received())-flooded, each) })
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	d.await(t, "the others to hold everything", fleet.All(fleet.Gone(victim.Name()), fleet.Spread(4, 2)))
	changes := stop()
	for _, o := range all {
		o.awaitReconciled(t, each)
	}
	t.Logf("%d changes were made around the kill of a replica with %d shards", changes, len(orphans))

	last := d.lastHeartbeat(t, victim)
	for _, shard := range orphans {
		gap := d.acquired(t, shard).Sub(last)
		t.Logf("%s was held again %s after the last heartbeat (LeaseDuration %s)", shard, gap.Round(time.Millisecond), timings.LeaseDuration)
		if gap < timings.LeaseDuration || gap > timings.LeaseDuration+takeOverMargin {
			t.Errorf("%s was taken over after %s, want the LeaseDuration of %s and at most %s more", shard, gap, timings.LeaseDuration, takeOverMargin)
		}
	}
	j := d.journal(t)
	j.checkEpochs(t)
	j.checkNeverReleased(t)
	t.Logf("%d writes were looked at", j.checkExclusion(t, types...))
}

// A replica that was stopped for longer than its LeaseDuration wakes up in the middle of a reconcile, with the hook's answer
// there to be carried out. It does not: its term is over. It joins again as a new session, and is given shards.
func TestStoppedReplicaDoesNotWriteWhenItGoesOn(t *testing.T) {
	t.Parallel()
	const each = 5
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets", "gizmos", "sprockets")
	good := answerWith(reflectSpec)
	hook := serveHook(t, good)
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

	release := make(chan struct{})
	hook.become(when(sized(1), block(release, answerWith(func(hookRequest) hookAnswer {
		return hookAnswer{Status: map[string]any{"late": true}}
	})), good))
	widgets := all[0]
	if err := widgets.resizeOne(t.Context(), "0", 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hook is asked about the change", func() error { return atLeast(hook.timesAsked(widgets.kind, "0", 1), 1) })
	victim := d.holderOf(t, widgets.shard())
	old := sessionOf(before, victim)
	if err := victim.Pause(); err != nil {
		t.Fatal(err)
	}
	// The next holder leaves the object as it is: so a late write would not fail because of a conflict.
	hook.become(when(sized(1), answerWith(func(hookRequest) hookAnswer { return hookAnswer{} }), good))
	d.await(t, "the others to hold everything", fleet.All(fleet.Gone(victim.Name()), fleet.Spread(4, 2)))
	eventually(t, "the next holder has reconciled the object", func() error { return atLeast(hook.timesAsked(widgets.kind, "0", 1), 2) })

	close(release)
	if err := victim.Resume(); err != nil {
		t.Fatal(err)
	}
	after := d.await(t, "the stopped replica to have its share again", fleet.Spread(4, 3))
	if session := sessionOf(after, victim); session == old {
		t.Errorf("the replica goes on as %s, the session that was ended", session)
	}
	object, err := widgets.client().Get(t.Context(), "0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := unstructured.NestedMap(object.Object, "status"); status["late"] != nil {
		t.Errorf("the status is %v: the answer was carried out after the term", status)
	}
	hook.become(good)
	for _, o := range all {
		o.resize(t, each, 2)
	}
	for _, o := range all {
		o.awaitReconciled(t, each)
	}
	j := d.journal(t)
	j.checkEpochs(t)
	j.checkExclusion(t, types...)
}

// busiest is the member with the most shards.
func busiest(s status.Status) status.Member {
	return slices.MaxFunc(s.Members, func(a, b status.Member) int { return a.Shards - b.Shards })
}

// sessionOf is the identity of the replica's live session.
func sessionOf(s status.Status, r *fleet.Replica) string {
	for _, m := range s.Members {
		if m.Pod == r.Name() && m.State == "live" {
			return m.Identity
		}
	}
	return ""
}

// keepChanging changes one object after the other, in no order, until stopped; then it says how many changes it made.
func keepChanging(t *testing.T, all []*objects, each int) (stop func() int) {
	t.Helper()
	const writers, pause = 4, 20 * time.Millisecond // so that hooks and replicas are busy, but the machine is not overrun
	ctx, cancel := context.WithCancel(t.Context())
	changes := make([]int, writers)
	var g errgroup.Group
	for i := range writers {
		g.Go(func() error {
			ticker := time.NewTicker(pause)
			defer ticker.Stop()
			for ; ctx.Err() == nil; <-ticker.C {
				o := all[rand.IntN(len(all))]
				// Without the context, so that no change is cut off whose outcome would then not be known.
				if err := o.resizeOne(context.WithoutCancel(ctx), fmt.Sprint(rand.IntN(each)), rand.IntN(1_000_000)); err != nil {
					return err
				}
				changes[i]++
			}
			return nil
		})
	}
	return func() (total int) {
		t.Helper()
		cancel()
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, n := range changes {
			total += n
		}
		return total
	}
}

func atLeast(is, want int) error {
	if is < want {
		return fmt.Errorf("%d of %d", is, want)
	}
	return nil
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

// A hook has not answered yet when the holder of its shard is told to leave. Within the grace the answer is still carried
// out; after it the call is given up, the shard handed over, and the next holder asks again. In no case does a replica write
// that does not hold the shard.
func TestAnswerComesWhileTheHolderLeaves(t *testing.T) {
	t.Parallel()
	for name, configure := range map[string]func(*hookServer) map[string]any{
		"webhook": func(h *hookServer) map[string]any { return webhook(h, hookTimeout) },
		"program": func(h *hookServer) map[string]any { return execHook(h, hookTimeout) },
	} {
		t.Run(name+" in time", func(t *testing.T) {
			t.Parallel()
			testLateAnswer(t, configure, func(t *testing.T, d *deployment, holder *fleet.Replica, answer func()) {
				d.await(t, "the holder to leave", leaving(holder))
				answer()
			})
		})
		t.Run(name+" too late", func(t *testing.T) {
			t.Parallel()
			testLateAnswer(t, configure, func(t *testing.T, d *deployment, holder *fleet.Replica, answer func()) {
				d.await(t, "the holder to have left", fleet.All(fleet.Gone(holder.Name()), fleet.Held(1)))
				answer()
			})
		})
	}
}

func testLateAnswer(t *testing.T, configure func(*hookServer) map[string]any, whenLeaving func(*testing.T, *deployment, *fleet.Replica, func())) {
	t.Helper()
	const each = 3
	c := newCluster(t)
	types := c.createTypes(t, "widgets")
	good := answerWith(reflectSpec)
	hook := serveHook(t, good)
	d := c.deploy(t, rolesFor(configure(hook), types...)...)
	widgets := c.watch(t, types[0])
	widgets.create(t, each)
	d.launch(t, "a", "b")
	d.await(t, "two replicas to be ready", fleet.Spread(1, 2))
	widgets.awaitReconciled(t, each)

	release := make(chan struct{})
	hook.become(when(sized(1), block(release, good), good))
	widgets.resize(t, each, 1)
	eventually(t, "the hook is asked about all changes", func() error {
		for i := range each {
			if err := atLeast(hook.timesAsked(types[0].kind, fmt.Sprint(i), 1), 1); err != nil {
				return err
			}
		}
		return nil
	})
	holder := d.holderOf(t, types[0].shard())
	var termination errgroup.Group
	termination.Go(func() error { return d.terminated(t, holder) })
	whenLeaving(t, d, holder, func() { close(release) })
	if err := termination.Wait(); err != nil {
		t.Error(err)
	}
	widgets.awaitReconciled(t, each)

	j := d.journal(t)
	j.checkEpochs(t)
	j.checkNeverReleased(t)
	j.checkExclusion(t, types...)
	finished := 0
	for _, w := range j.writes {
		if w.resource == types[0].shard() && w.podUID == holder.UID() {
			finished++
		}
	}
	t.Logf("the leaving replica has made %d of %d writes that were under way", finished-each, each)
}

// leaving holds once the replica says that it leaves.
func leaving(r *fleet.Replica) fleet.Condition {
	return func(s status.Status) error {
		for _, m := range s.Members {
			if m.Pod == r.Name() && m.Leaving {
				return nil
			}
		}
		return errors.New("it does not say so")
	}
}

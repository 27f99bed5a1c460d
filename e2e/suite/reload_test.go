// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

// A new configuration file comes into force without a restart: a role that changed is done the new way by whoever holds its
// shard, in the same term; one that was added is shared out, one that was removed ends. A bad file changes nothing, and shows.
func TestConfigurationIsReloaded(t *testing.T) {
	t.Parallel()
	const each = 3
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets", "gizmos")
	before, after := serveHook(t, answerWith(reflectSpec)), serveHook(t, answerWith(reflectSpec))
	all := c.watchAll(t, types)
	widgets, gadgets, gizmos := all[0], all[1], all[2]
	d := c.deploy(t, rolesFor(webhook(before, hookTimeout), types[0], types[1])...)
	for _, o := range all {
		o.create(t, each)
	}
	d.launch(t, "a", "b")
	was := d.await(t, "two replicas to share two shards", fleet.Spread(2, 2))
	widgets.awaitReconciled(t, each)
	gadgets.awaitReconciled(t, each)

	d.reconfigure(t, c.configuration(t, rolesFor(webhook(after, hookTimeout), types[0], types[1])...))
	for _, o := range []*objects{widgets, gadgets} {
		eventually(t, "the new hook is asked about all objects", func() error {
			for i := range each {
				if err := atLeast(after.timesAsked(o.kind, fmt.Sprint(i), 0), 1); err != nil {
					return err
				}
			}
			return nil
		})
	}
	is := d.await(t, "the shards to be where they were", fleet.Spread(2, 2))
	for i, shard := range is.Shards {
		if shard.Epoch != was.Shards[i].Epoch {
			t.Errorf("shard %s went from epoch %d to %d because its role has changed, want it to stay", shard.Name, was.Shards[i].Epoch, shard.Epoch)
		}
	}

	d.reconfigure(t, c.configuration(t, rolesFor(webhook(after, hookTimeout), types[0], types[2])...))
	d.await(t, "the new role to be held, the removed one not", func(s status.Status) error {
		if _, held := fleet.HolderOf(s, gizmos.shard()); !held {
			return errors.New("nobody holds the new one")
		}
		if by, held := fleet.HolderOf(s, gadgets.shard()); held {
			return fmt.Errorf("%s holds the one that was removed", by)
		}
		return nil
	})
	gizmos.awaitReconciled(t, each)
	d.await(t, "the status to say why nobody holds the shard that was removed", func(s status.Status) error {
		if problem := shardIn(s, gadgets.shard()).Problem; !strings.Contains(problem, "no replica") {
			return fmt.Errorf("it says %q", problem)
		}
		return nil
	})

	for _, bad := range []string{"{", "kind: Configuration\n", string(c.configuration(t, rolesFor(webhook(after, hookTimeout), types[0])...)) + "  workres: 3\n"} {
		d.reconfigure(t, []byte(bad))
		d.await(t, "all replicas to refuse a bad file", membersSay("configuration refused"))
	}
	for _, o := range []*objects{widgets, gadgets, gizmos} {
		o.resize(t, each, 1)
	}
	widgets.awaitReconciled(t, each)
	gizmos.awaitReconciled(t, each)
	if n := after.timesAsked(gadgets.kind, "0", 1); n > 0 {
		t.Errorf("the hook was asked %d times about an object of the role that was removed", n)
	}

	d.reconfigure(t, c.configuration(t, rolesFor(webhook(after, hookTimeout), types...)...))
	d.await(t, "two replicas to share three shards", fleet.All(fleet.Spread(3, 2), membersSay("")))
	gadgets.awaitReconciled(t, each)
	j := d.journal(t)
	j.checkEpochs(t)
	j.checkExclusion(t, types...)
}

func (d *deployment) reconfigure(t *testing.T, text []byte) {
	t.Helper()
	if err := d.Reconfigure(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// shardIn is the shard of this name; the zero one if there is none.
func shardIn(s status.Status, name string) status.Shard {
	for _, sh := range s.Shards {
		if sh.Name == name {
			return sh
		}
	}
	return status.Shard{}
}

// membersSay holds if the problem of each member has this text; none has any if it is empty.
func membersSay(problem string) fleet.Condition {
	return func(s status.Status) error {
		for _, m := range s.Members {
			if !strings.Contains(m.Problem, problem) || problem == "" && m.Problem != "" {
				return fmt.Errorf("%s says %q", m.Pod, m.Problem)
			}
		}
		return nil
	}
}

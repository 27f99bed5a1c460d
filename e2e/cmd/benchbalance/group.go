// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// eventsPoll is how often what the replicas note is read. No figure depends on it: they note when things happened.
const eventsPoll = 50 * time.Millisecond

// heldLimit bounds every wait for the replicas.
const heldLimit = time.Minute

// group is one that is installed, and its replicas, which share some shards.
type group struct {
	fleet    *fleet.Fleet
	name     string
	shards   int
	replicas []*fleet.Replica
	killed   []event
}

// launch starts a replica; args say how it elects.
func (g *group) launch(ctx context.Context, name string, args ...string) (*fleet.Replica, error) {
	args = append(args, "--group="+g.name, fmt.Sprintf("--shards=%d", g.shards), "--events="+g.eventsOf(name))
	r, err := g.fleet.Launch(ctx, name, args...)
	if err != nil {
		return nil, err
	}
	g.replicas = append(g.replicas, r)
	return r, nil
}

// kill ends a replica by SIGKILL: it notes nothing any more.
func (g *group) kill(r *fleet.Replica) (time.Time, error) {
	err := r.Kill()
	at := time.Now()
	g.killed = append(g.killed, event{Kind: killed, At: at, replica: r.Name()})
	return at, err
}

func (g *group) eventsOf(replica string) string {
	return filepath.Join(g.fleet.LogDir(), replica+".events")
}

// history is everything that the replicas have noted, in the order in which it happened.
func (g *group) history() (history, error) {
	all := history(g.killed)
	for _, r := range g.replicas {
		noted, err := readEvents(g.eventsOf(r.Name()), r.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, noted...)
	}
	return all.sorted(), nil
}

// await reads the history until it is as it should be, for a while at most; what completes the sentence "waited for ...".
func (g *group) await(ctx context.Context, what string, is func(history) error) error {
	var missing error
	err := wait.PollUntilContextTimeout(ctx, eventsPoll, heldLimit, true, func(context.Context) (bool, error) {
		h, err := g.history()
		if err != nil {
			return false, err
		}
		missing = is(h)
		return missing == nil, nil
	})
	if err != nil {
		return fmt.Errorf("group %s: waited at most %s for %s: %w; the logs are in %s", g.name, heldLimit, what, errors.Join(missing, err), g.fleet.LogDir())
	}
	return nil
}

// awaitEven waits until the replicas' shares are even and have stayed so for a while from now on, and returns since when they
// are.
func (g *group) awaitEven(ctx context.Context, steady time.Duration, replicas ...string) (since time.Time, err error) {
	began := time.Now()
	what := fmt.Sprintf("%d shards to be shared by %d replicas for %s", g.shards, len(replicas), steady)
	err = g.await(ctx, what, func(h history) error {
		var now shares
		since, now = h.evenSince(g.shards, replicas)
		if since.IsZero() || time.Since(since) < steady || time.Since(began) < steady {
			return fmt.Errorf("the shares are %v", now)
		}
		return nil
	})
	return since, err
}

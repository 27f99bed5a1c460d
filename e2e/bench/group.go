// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// eventsPoll is how often what the replicas note is read. No figure depends on it: they note when things happened.
const eventsPoll = 50 * time.Millisecond

// heldLimit bounds every wait for the replicas. The longest are those for 2,000 electors to start on a few cores, and for Leases
// to run out after 15 s.
const heldLimit = 2 * time.Minute

// group is one that is installed, and its replicas, which share some shards.
type group struct {
	fleet    *fleet.Fleet
	name     string
	shards   int
	replicas []*fleet.Replica
	logs     []*eventLog // of the replicas
	killed   []event
}

// launch starts a replica; args say how it elects.
func (g *group) launch(ctx context.Context, name string, args ...string) (*fleet.Replica, error) {
	return g.launchPod(ctx, fleet.Pod{Name: name}, args...)
}

// launchPod is like launch, for a Pod that somebody seems to have made.
func (g *group) launchPod(ctx context.Context, pod fleet.Pod, args ...string) (*fleet.Replica, error) {
	args = append(args, "--group="+g.name, fmt.Sprintf("--shards=%d", g.shards), "--events="+g.eventsOf(pod.Name))
	r, err := g.fleet.LaunchPod(ctx, pod, args...)
	if err != nil {
		return nil, err
	}
	g.replicas = append(g.replicas, r)
	g.logs = append(g.logs, &eventLog{path: g.eventsOf(pod.Name), replica: r.Name()})
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

// history is everything that the replicas have noted, in the order in which it happened. One goroutine at a time may ask.
func (g *group) history() (history, error) {
	all := history(slices.Clone(g.killed))
	for _, log := range g.logs {
		noted, err := log.read()
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

// awaitDecided waits until everybody knows who works for what, and nothing has changed for a while since: with ours the shares
// are even, with the others every shard is worked for, and every elector of the other replicas has seen who holds its Lease.
func (g *group) awaitDecided(ctx context.Context, who contender, steady time.Duration, replicas ...string) error {
	if who.ours() {
		_, err := g.awaitEven(ctx, steady, replicas...)
		return err
	}
	var decided time.Time
	return g.await(ctx, fmt.Sprintf("all electors to know who leads for %s", steady), func(h history) error {
		if err := h.undecided(g.shards, replicas); err != nil {
			decided = time.Time{}
			return err
		}
		if decided.IsZero() {
			decided = time.Now()
		}
		if since := time.Since(h.changed(decided)); since < steady {
			return fmt.Errorf("they have known it for %s", since.Round(time.Millisecond))
		}
		return nil
	})
}

// undecided is an error unless one of the replicas works for every shard, and each of them works for it or has seen, in this run
// of its process, that another holds it.
func (h history) undecided(shards int, replicas []string) error {
	holders, knows := map[string]string{}, map[string]map[string]bool{}
	for _, name := range replicas {
		knows[name] = map[string]bool{}
	}
	for _, e := range h {
		known, expected := knows[e.replica]
		switch {
		case !expected:
		case e.Kind == started:
			holders[e.Shard], known[e.Shard] = e.replica, true
		case e.Kind == watching:
			known[e.Shard] = true
		case e.Kind == stopped && holders[e.Shard] == e.replica:
			delete(holders, e.Shard)
		case e.Kind == killed:
			maps.DeleteFunc(holders, func(_, holder string) bool { return holder == e.replica })
			clear(known)
		}
	}
	if len(holders) < shards {
		return fmt.Errorf("%d of %d shards are worked for", len(holders), shards)
	}
	for _, name := range replicas {
		if n := len(knows[name]); n < shards {
			return fmt.Errorf("%s knows the holders of %d of %d shards", name, n, shards)
		}
	}
	return nil
}

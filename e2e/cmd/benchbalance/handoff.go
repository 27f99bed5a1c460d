// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

const (
	handOffShards = 50
	handOffRounds = 5
	// Targets, in ms.
	gapMedian, gapP99 = 25, 100
	// exitLimit is what a kubelet allows a process by default.
	exitLimit = 30 * time.Second
	// quietFor is how long nothing has happened when the holder is told to end: the heartbeats and polls of some periods.
	quietFor = 5 * time.Second
	// firstRevision is that of the first holder; every stand-by has the next lower one, so that no shard moves to it for balance.
	firstRevision = 1000
)

// election is one way to elect.
type election struct {
	name string
	// standsBy tells whether a replica that holds nothing is ready to be handed something.
	standsBy func(ctx context.Context, g *group, pod string) error
}

// measureHandOffs does the same in both ways: all shards are on one of two replicas, which is told to end.
func measureHandOffs(ctx context.Context, b *bench) error {
	ours, err := b.handOffs(ctx, election{byShardctl, awaitMember})
	if err != nil {
		return err
	}
	b.atMost(gapMedian, "handoff_gap_median_ms", ours.quantile(0.5))
	b.atMost(gapP99, "handoff_gap_p99_ms", ours.quantile(0.99))
	b.add("handoff_gap_max_ms", ours.quantile(1))
	b.atMost(0, "handoff_overlaps", float64(ours.overlaps()))
	b.add("handoff_samples", float64(len(ours)))

	theirs, err := b.handOffs(ctx, election{byClientGo, awaitWatching})
	if err != nil {
		return err
	}
	b.add("client_go_handoff_gap_median_ms", theirs.quantile(0.5))
	b.add("client_go_handoff_gap_p99_ms", theirs.quantile(0.99))
	b.add("client_go_handoff_gap_max_ms", theirs.quantile(1))
	b.add("client_go_handoff_overlaps", float64(theirs.overlaps()))
	b.add("client_go_handoff_samples", float64(len(theirs)))
	b.add("client_go_handoff_gap_median_times_ours", theirs.quantile(0.5)/ours.quantile(0.5))
	b.add("client_go_handoff_gap_p99_times_ours", theirs.quantile(0.99)/ours.quantile(0.99))
	return nil
}

// handOffs goes through the rounds: the stand-by of one is the holder of the next.
func (b *bench) handOffs(ctx context.Context, e election) (gaps, error) {
	g, err := b.install(ctx, "handoff-"+e.name, handOffShards)
	if err != nil {
		return nil, err
	}
	holder, err := e.launch(ctx, g, 0)
	if err != nil {
		return nil, err
	}
	if _, err := g.awaitEven(ctx, 0, holder.Name()); err != nil {
		return nil, err
	}
	var all gaps
	for round := range handOffRounds {
		standBy, err := e.launch(ctx, g, round+1)
		if err != nil {
			return nil, err
		}
		if err := e.standsBy(ctx, g, standBy.Name()); err != nil {
			return nil, err
		}
		if _, err := g.awaitEven(ctx, quietFor, holder.Name()); err != nil {
			return nil, err
		}
		if err := end(ctx, holder); err != nil {
			return nil, err
		}
		if _, err := g.awaitEven(ctx, 0, standBy.Name()); err != nil {
			return nil, err
		}
		h, err := g.history()
		if err != nil {
			return nil, err
		}
		of := h.gaps(holder.Name(), standBy.Name())
		if len(of) != handOffShards {
			return nil, fmt.Errorf("%d of %d shards were handed over from %s to %s", len(of), handOffShards, holder.Name(), standBy.Name())
		}
		all, holder = append(all, of...), standBy
	}
	slices.Sort(all)
	return all, g.fleet.Close()
}

// launch starts the replica of a round. Each is of a lower revision than the one before, so that it gets nothing while that is
// there; electors know no revisions.
func (e election) launch(ctx context.Context, g *group, round int) (*fleet.Replica, error) {
	return g.launch(ctx, fmt.Sprintf("%s-%d", g.name, round), "--elector="+e.name, fmt.Sprintf("--revision=%d", firstRevision-round))
}

// awaitMember waits until the others know that the Pod's replica is ready.
func awaitMember(ctx context.Context, g *group, pod string) error {
	_, err := g.fleet.WaitFor(ctx, heldLimit, pod+" to be ready", func(s status.Status) error {
		if _, ok := fleet.SpreadOf(s)[pod]; !ok {
			return errors.New("it is not")
		}
		return nil
	})
	return err
}

// awaitWatching waits until the electors of the Pod have all seen that another holds their Lease.
func awaitWatching(ctx context.Context, g *group, pod string) error {
	return g.await(ctx, pod+" to stand by", func(h history) error {
		if n := h.watched(pod); n < g.shards {
			return fmt.Errorf("%d of %d of its electors do", n, g.shards)
		}
		return nil
	})
}

// end tells a replica to end, as a kubelet does.
func end(ctx context.Context, r *fleet.Replica) error {
	ctx, cancel := context.WithTimeout(ctx, exitLimit)
	defer cancel()
	exit, err := r.Terminate(ctx)
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("%s ended with %s after SIGTERM, not with exit status 0; its log is %s", r.Name(), exit.State, r.LogPath())
	}
	return nil
}

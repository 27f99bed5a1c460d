// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// requestsWindow is for how long requests are counted: ten RenewIntervals.
const requestsWindow = 30 * time.Second

// measureRequests counts what groups of several sizes send to the API server while nothing happens.
func measureRequests(ctx context.Context, b *bench) error {
	for _, mode := range []lease.Mode{lease.SessionMode, lease.LeaseMode} {
		for _, size := range []struct{ shards, replicas int }{{10, 3}, {50, 3}, {50, 10}, {200, 10}} {
			if err := b.requests(ctx, mode, size.shards, size.replicas); err != nil {
				return err
			}
		}
	}
	return nil
}

// requests waits until the shares of a group are even, and then counts.
func (b *bench) requests(ctx context.Context, mode lease.Mode, shards, replicas int) error {
	name := fmt.Sprintf("requests-%s-%d-%d", mode, shards, replicas)
	g, err := b.install(ctx, name, shards)
	if err != nil {
		return err
	}
	var pods []string
	for i := range replicas {
		pods = append(pods, fmt.Sprintf("%s-%d", name, i))
		if _, err := g.launch(ctx, pods[i], "--mode="+string(mode), "--idle"); err != nil {
			return err
		}
	}
	if _, err := g.awaitEven(ctx, spreadSteady, pods...); err != nil {
		return err
	}
	before, err := b.leaseRequests(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	select {
	case <-time.After(requestsWindow):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	after, err := b.leaseRequests(ctx)
	if err != nil {
		return err
	}
	window := time.Since(began).Seconds()
	prefix := fmt.Sprintf("requests_%s_mode_%d_shards_%d_replicas_", mode, shards, replicas)
	b.add(prefix+"writes_per_second", (after.writes-before.writes)/window)
	b.add(prefix+"reads_per_second", (after.reads-before.reads)/window)
	return g.fleet.Close()
}

// leaseRequests are those that the API server has answered so far. A watch counts when it ends.
type leaseRequests struct{ writes, reads float64 }

func (b *bench) leaseRequests(ctx context.Context) (r leaseRequests, err error) {
	metrics, err := b.cp.Metrics(ctx)
	if err != nil {
		return r, err
	}
	sum := func(verbs ...string) (n float64) {
		for _, verb := range verbs {
			n += metrics.Sum("apiserver_request_total", map[string]string{"resource": "leases", "verb": verb})
		}
		return n
	}
	return leaseRequests{writes: sum("POST", "PUT", "PATCH", "APPLY", "DELETE"), reads: sum("GET", "LIST", "WATCH")}, nil
}

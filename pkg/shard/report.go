// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/pkg/lease"
)

const (
	// lookInterval is how often the caches are looked at. It costs a few locks
	// and no request.
	lookInterval = 100 * time.Millisecond
	// loadInterval is over how long load is averaged, and loadStep what it is
	// rounded to, in thousandths of a worker: what the others see of it must
	// not change with every key.
	loadInterval = 10 * time.Second
	loadStep     = 50
)

// reportLoop tells the driver what this replica can hold, how busy it is and
// what fails; the next heartbeat carries it.
func (g *Group) reportLoop(ctx context.Context) error {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	var served []lease.ShardSpec
	said := lease.Reported{}
	lastLoad, waiting := time.Now(), map[*controller]cacheWait{}
	for {
		if now := g.served(); !slices.Equal(now, served) {
			g.driver.Configure(now)
			served = now
		}
		report := lease.Reported{Ready: said.Ready || g.answered(), Problems: g.failures(ctx, waiting)}
		if since := time.Since(lastLoad); since >= loadInterval {
			report.Load = g.load(since)
			lastLoad = time.Now()
		}
		if report.Load != nil || report.Ready != said.Ready || !maps.Equal(report.Problems, said.Problems) {
			g.driver.Report(report)
			said = report
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// answered tells whether all that this replica can hold soon is in its caches.
// From then on it is ready: a type that appears later is one that it does not
// serve yet, and nothing else suffers from that.
func (g *Group) answered() bool {
	return !slices.ContainsFunc(g.controllers, func(c *controller) bool { return !c.answered() })
}

// cacheWait is a wait for a cache that is not complete.
type cacheWait struct {
	reason string
	since  time.Time
	logged bool
}

// logWaitAfter is how long a cache may take before it is worth a line.
const logWaitAfter = 5 * time.Second

// failures says, per shard, what does not work; waiting remembers since when.
func (g *Group) failures(ctx context.Context, waiting map[*controller]cacheWait) map[string]string {
	all := map[string]string{}
	for _, c := range g.controllers {
		reason := shorten(c.unsynced())
		w := waiting[c]
		if reason != w.reason {
			w = cacheWait{reason: reason, since: time.Now()}
		}
		if reason != "" && !w.logged && time.Since(w.since) > logWaitAfter {
			w.logged = true
			klog.FromContext(ctx).Info("A controller waits for a cache", "shard", c.shard, "controller", c.Name, "cache", reason)
		}
		waiting[c] = w
		if reason == "" {
			reason = shorten(c.stale())
		}
		if reason == "" {
			reason = c.problems.summary()
		}
		if reason != "" {
			all[c.shard] = reason
		}
	}
	for _, r := range g.roles {
		if reason := r.problems.summary(); reason != "" {
			all[r.Name] = reason
		}
	}
	return all
}

// load is how many thousandths of a worker each shard kept busy.
func (g *Group) load(since time.Duration) map[string]int64 {
	all := map[string]int64{}
	for _, c := range g.controllers {
		thousandths := c.busy.Swap(0) * 1000 / int64(since)
		if rounded := (thousandths + loadStep/2) / loadStep * loadStep; rounded > 0 {
			all[c.shard] += rounded
		}
	}
	return all
}

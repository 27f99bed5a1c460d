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

// lookInterval is how often the caches are looked at. It costs a few locks and no
// request.
const lookInterval = 100 * time.Millisecond

// reportLoop tells the driver what this replica can hold, how busy it is, what
// fails and which fence it calls for; the next heartbeat carries it.
func (g *Group) reportLoop(ctx context.Context) error {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	var served []lease.ShardSpec
	said := lease.Reported{}
	measured, lastLook, waiting := loads{}, time.Now(), map[*controller]cacheWait{}
	for {
		now := g.served()
		report := lease.Reported{
			Ready: said.Ready || g.answered(), Load: said.Load, Problems: g.failures(ctx, waiting), Fence: g.reportedFence(),
			Declines: g.declined(time.Now()), Busy: g.busy(),
		}
		if since := time.Since(lastLook); since >= loadInterval {
			report.Load = measured.look(g.held(), g.takeBusy(), since)
			lastLook = time.Now()
		}
		if !sameReport(report, said) {
			g.driver.Report(report) // first, for a role may be new that is not to be taken yet
			said = report
		}
		if !slices.Equal(now, served) {
			g.driver.Configure(now)
			served = now
			g.forgetDeclined()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func sameReport(a, b lease.Reported) bool {
	return a.Ready == b.Ready && a.Fence == b.Fence && maps.Equal(a.Load, b.Load) && maps.Equal(a.Problems, b.Problems) &&
		maps.Equal(a.Declines, b.Declines) && maps.Equal(a.Busy, b.Busy)
}

// answered tells whether all that this replica can hold soon is in its caches.
// From then on it is ready: a type that appears later is one that it does not
// serve yet, and nothing else suffers from that.
func (g *Group) answered() bool {
	return !slices.ContainsFunc(g.current().controllers, func(c *controller) bool { return !c.answered() })
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
	if problem := g.reportedProblem(); problem != "" {
		all[lease.ProblemOfReplica] = problem
	}
	controllers := g.current().controllers
	maps.DeleteFunc(waiting, func(c *controller, _ cacheWait) bool { return !slices.Contains(controllers, c) })
	for _, c := range controllers {
		reason := shorten(c.unsynced())
		w := waiting[c]
		if reason != w.reason {
			w = cacheWait{reason: reason, since: time.Now()}
		}
		if reason != "" && !w.logged && time.Since(w.since) > logWaitAfter {
			w.logged = true
			klog.FromContext(ctx).Info("A controller waits for a cache", "shard", c.family, "controller", c.Name, "cache", reason)
		}
		waiting[c] = w
		if reason == "" {
			reason = shorten(c.stale())
		}
		if reason != "" {
			all[c.family] = reason
			continue
		}
		maps.Copy(all, c.failing())
	}
	for _, r := range g.current().roles {
		if reason := r.gate.problem(); reason != "" {
			all[r.Name] = reason
		}
		for _, reason := range r.problems.summaries() {
			all[r.Name] = reason
		}
	}
	return firstOf(all)
}

// maxFailing bounds of how many shards a heartbeat tells what does not work. If
// hundreds fail at once, such as for want of a database, they fail for one reason,
// and an object with more than 256 KiB of annotations would be refused: the
// session would end because the work fails.
const maxFailing = 100

// firstOf leaves out the shards that are too many, the last by name.
func firstOf(failing map[string]string) map[string]string {
	if len(failing) > maxFailing {
		for _, shard := range slices.Sorted(maps.Keys(failing))[maxFailing:] {
			delete(failing, shard)
		}
	}
	return failing
}

// held are the shards that this replica works for, or still does.
func (g *Group) held() []heldShard {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]heldShard, 0, len(g.tenures))
	for t := range g.tenures {
		all = append(all, heldShard{name: t.term.Shard(), term: t.id.Number, carried: t.term.record.Load})
	}
	return all
}

// takeBusy is for how long the workers of all controllers were busy, per shard,
// since the last call. A role is never busy: its Run lasts for as long as the term
// does, whatever it does meanwhile. It weighs what an idle shard weighs.
func (g *Group) takeBusy() map[string]time.Duration {
	all := map[string]time.Duration{}
	for _, c := range g.current().controllers {
		for shard, busy := range c.takeBusy() {
			all[shard] += busy
		}
	}
	return all
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"github.com/shardctl/shardctl/e2e/faults/workload"
)

// The load goes on for a while before the fault, for how long is up to chance too, and after it.
const (
	leastLead = 500 * time.Millisecond
	mostLead  = 1500 * time.Millisecond
	trail     = 500 * time.Millisecond
)

// run is one fault.
type run struct {
	group  *group
	number int  // among those of its kind, from 0
	first  bool // lasts surely long enough
	chance *rand.Rand
	lasts  time.Duration
	victim *replica
	seen   func(ctx context.Context, revision int64) error // returns when the oracle has
	tellf  func(format string, args ...any)
}

// newRun draws everything that is up to chance from the seed, the kind and the number alone; the victim is drawn too, from
// whoever holds shards then.
func newRun(g *group, number int, o Options) *run {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", g.kind.Name, number)
	r := &run{group: g, number: number, first: number == 0, chance: rand.New(rand.NewPCG(o.Seed, h.Sum64()))}
	least := g.kind.least
	if r.first {
		least = max(least, min(surely, g.kind.most))
	}
	if least > 0 {
		r.lasts = min(r.between(least, g.kind.most), max(least, o.Longest))
	}
	return r
}

// between is evenly distributed in its logarithm: as many short faults as long ones.
func (r *run) between(least, most time.Duration) time.Duration {
	low, high := math.Log(float64(least)), math.Log(float64(most))
	return time.Duration(math.Exp(low + (high-low)*r.chance.Float64())).Round(time.Millisecond)
}

// last waits for as long as the fault lasts.
func (r *run) last(ctx context.Context) error { return sleep(ctx, r.lasts) }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// outcome is what came of a run, as far as the group itself shows it.
type outcome struct {
	number    int
	injected  time.Time
	from, to  int64 // revisions: after the first, up to the second
	unsettled unsettled
}

// do injects the fault into a group that is settled and under load, and waits until it is settled again.
func (r *run) do(ctx context.Context) (outcome, error) {
	o := outcome{number: r.number}
	err := r.group.load.changing(ctx, func(ctx context.Context) (err error) {
		o.injected, err = r.strike(ctx)
		return err
	})
	if err != nil {
		return o, err
	}
	healed := time.Now()
	if o.unsettled, err = r.group.awaitSettled(ctx); err != nil {
		return o, err
	}
	victim := r.victim.Name()
	if r.group.kind.hitsAll {
		victim = "all"
	}
	r.tellf("hit %s for %s, settled after %s", victim,
		(healed.Sub(o.injected) - trail).Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))
	return o, nil
}

// strike waits for the moment, does the harm and lets the load go on for a while after it.
func (r *run) strike(ctx context.Context) (at time.Time, err error) {
	if err := sleep(ctx, leastLead+time.Duration(r.chance.Int64N(int64(mostLead-leastLead)))); err != nil {
		return at, err
	}
	var busyWith workload.Type
	if r.victim, busyWith, err = r.group.pick(ctx, r.chance.IntN); err != nil {
		return at, err
	}
	if err := r.group.awaitMiddle(ctx, r.victim, busyWith); err != nil {
		return at, err
	}
	at = time.Now()
	if err := r.group.kind.inject(ctx, r); err != nil {
		return at, err
	}
	return at, sleep(ctx, trail)
}

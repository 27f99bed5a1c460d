// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/internal/sim"
)

const (
	// rolloutSeeds is how many updates each figure is the worst of: Pods have other names in each, and so other affinities.
	rolloutSeeds = 3
	// perReplica is how busy each replica is, in thousandths of a worker: a quarter of the workers that 16 controllers have.
	perReplica = 16_000
)

// Targets of a rolling update.
const (
	movesPerShard   = 1.1
	worstShard      = 2
	worstAfterCrash = 3
	equalAfter      = 1.05
	weightedAfter   = 1.10
)

// workload is a group that is updated.
type workload struct {
	name     string
	loads    []int64
	replicas int
	// after is the most that the busiest replica may have in the end, as a share of the mean, or of the heaviest shard if that
	// alone is more.
	after float64
}

func workloads() []workload {
	return []workload{
		{"64_equal_over_8", sim.EqualLoads(64, 8*perReplica), 8, equalAfter},
		{"128_zipf_0.8_over_8", sim.ZipfLoads(128, 0.8, 8*perReplica), 8, weightedAfter},
		{"128_zipf_1_over_8", sim.ZipfLoads(128, 1, 8*perReplica), 8, weightedAfter},
		{"32_equal_over_3", sim.EqualLoads(32, 3*perReplica), 3, equalAfter},
	}
}

// variant is another way to update, without targets: the Deployment does not wait, or does not know something.
type variant struct {
	name string
	set  func(*sim.Rollout)
}

func variants() []variant {
	return []variant{
		{"min_ready_10s", func(o *sim.Rollout) { o.MinReady = 10 * time.Second }},
		{"min_ready_3s", func(o *sim.Rollout) { o.MinReady = 3 * time.Second }},
		{"random_victim", func(o *sim.Rollout) { o.IgnoreCost = true }},
		{"target_unknown", func(o *sim.Rollout) { o.TargetUnknown = true }},
	}
}

// measureRollouts updates every workload, as targeted and otherwise.
func measureRollouts(ctx context.Context, b *bench) error {
	chosen, otherwise := workloads(), variants()
	if b.quick {
		chosen, otherwise = chosen[len(chosen)-1:], otherwise[:1]
	}
	for _, w := range chosen {
		r, err := worst(ctx, w, func(*sim.Rollout) {})
		if err != nil {
			return err
		}
		name := w.name
		b.add(figure{Name: name + "_moves_per_shard", Value: r.perShard}.atMost(movesPerShard))
		b.add(figure{Name: name + "_worst_shard_moves", Value: r.worst}.atMost(worstShard))
		b.add(figure{Name: name + "_moves_to_old", Value: r.toOld}.atMost(0))
		b.add(figure{Name: name + "_busiest_to_mean_before", Value: r.before})
		b.add(figure{Name: name + "_busiest_to_mean_after", Value: r.after})
		b.add(figure{Name: name + "_busiest_to_mean_possible", Value: r.least})
		b.add(figure{Name: name + "_busiest_to_possible_after", Value: r.after / r.least}.atMost(w.after))
		b.add(figure{Name: name + "_simulated_time", Unit: "s", Value: r.took.Seconds()})

		if r, err = worst(ctx, w, func(o *sim.Rollout) { o.Crash = true }); err != nil {
			return err
		}
		b.add(figure{Name: name + "_crash_moves_per_shard", Value: r.perShard})
		b.add(figure{Name: name + "_crash_worst_shard_moves", Value: r.worst}.atMost(worstAfterCrash))
		b.add(figure{Name: name + "_crash_moves_to_old", Value: r.toOld}.atMost(0))
		for _, v := range otherwise {
			if r, err = worst(ctx, w, v.set); err != nil {
				return err
			}
			b.add(figure{Name: name + "_" + v.name + "_moves_per_shard", Value: r.perShard})
			b.add(figure{Name: name + "_" + v.name + "_worst_shard_moves", Value: r.worst})
		}
	}
	return nil
}

// update is the worst of some rolling updates, in each respect.
type update struct {
	perShard, worst, toOld, before, after, least float64
	took                                         time.Duration
}

func (u *update) add(r sim.RolloutResult) {
	u.perShard, u.worst, u.toOld = max(u.perShard, r.PerShard()), max(u.worst, float64(r.Worst())), max(u.toOld, float64(r.ToOld))
	u.before, u.after, u.least = max(u.before, r.Before), max(u.after, r.After), r.Least
	u.took = max(u.took, r.Took)
}

// worst simulates one update per seed.
func worst(ctx context.Context, w workload, set func(*sim.Rollout)) (update, error) {
	results := make([]sim.RolloutResult, rolloutSeeds)
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(runtime.GOMAXPROCS(0))
	for i := range results {
		tasks.Go(func() (err error) {
			o := sim.Rollout{Seed: uint64(i + 1), Loads: w.loads, Replicas: w.replicas}
			set(&o)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if results[i], err = o.Run(); err != nil {
				return fmt.Errorf("%s, seed %d: %w", w.name, o.Seed, err)
			}
			return nil
		})
	}
	if err := tasks.Wait(); err != nil {
		return update{}, err
	}
	var u update
	for _, r := range results {
		u.add(r)
	}
	return u, nil
}

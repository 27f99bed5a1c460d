// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/sim"
)

// perReplica is what each replica of a test has to do: the work of 16 workers, a
// quarter of what 16 controllers have.
const perReplica = 16000

// A rolling update moves each shard about once, none of them to an old Pod, and
// leaves the shares even.
func TestRollout(t *testing.T) {
	for _, test := range []struct {
		name     string
		loads    []int64
		replicas int
		// after is the most of After, over Least: the heaviest shard alone may be
		// more than the mean.
		after float64
	}{
		{"64 equal shards over 8", sim.EqualLoads(64, 8*perReplica), 8, 1.05},
		{"32 equal shards over 3", sim.EqualLoads(32, 3*perReplica), 3, 1.05},
		{"128 shards over 8, Zipf 0.8", sim.ZipfLoads(128, 0.8, 8*perReplica), 8, 1.10},
		{"128 shards over 8, Zipf 1", sim.ZipfLoads(128, 1, 8*perReplica), 8, 1.10},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, sim.Rollout{Seed: 1, Loads: test.loads, Replicas: test.replicas})
			if r.PerShard() > 1.1 || r.Worst() > 2 || r.ToOld > 0 || r.After > test.after*r.Least {
				t.Errorf("%.3f moves per shard, at most %d, %d to old Pods; the busiest has %.3f of the mean, which could be %.3f",
					r.PerShard(), r.Worst(), r.ToOld, r.After, r.Least)
			}
		})
	}
}

// Replicas that are not told how many there are to be take the Pods that are there
// during the update for all: new ones get too little at first.
func TestRolloutWithUnknownTarget(t *testing.T) {
	t.Parallel()
	r := run(t, sim.Rollout{Seed: 1, Loads: sim.EqualLoads(64, 8*perReplica), Replicas: 8, TargetUnknown: true})
	if r.PerShard() > 1.25 || r.Worst() > 2 || r.ToOld > 0 || r.After > 1.05 {
		t.Errorf("%.3f moves per shard, at most %d, %d to old Pods; the busiest has %.3f of the mean", r.PerShard(), r.Worst(), r.ToOld, r.After)
	}
}

// A new Pod that crashes costs its shards a move there and one back.
func TestRolloutWithCrash(t *testing.T) {
	for _, test := range []struct {
		loads    []int64
		replicas int
	}{
		{sim.EqualLoads(64, 8*perReplica), 8},
		{sim.EqualLoads(32, 3*perReplica), 3},
		{sim.ZipfLoads(128, 0.8, 8*perReplica), 8},
		{sim.ZipfLoads(128, 1, 8*perReplica), 8},
	} {
		t.Run(fmt.Sprintf("%d shards over %d, the heaviest %d", len(test.loads), test.replicas, test.loads[0]), func(t *testing.T) {
			t.Parallel()
			r := run(t, sim.Rollout{Seed: 1, Loads: test.loads, Replicas: test.replicas, Crash: true})
			if r.Worst() > 3 || r.Worst() < 2 || r.ToOld > 0 {
				t.Errorf("the worst shard moved %d times, %d moves went to old Pods", r.Worst(), r.ToOld)
			}
		})
	}
}

// A Deployment that does not wait, or does not know which Pods are emptied, costs
// more moves, but none goes back to the old revision.
func TestRolloutInAHurry(t *testing.T) {
	for _, o := range []sim.Rollout{
		{MinReady: 3 * time.Second},
		{MinReady: 10 * time.Second},
		{IgnoreCost: true},
	} {
		t.Run(fmt.Sprintf("ready for %s, ignoring costs %t", o.MinReady, o.IgnoreCost), func(t *testing.T) {
			t.Parallel()
			o.Seed, o.Loads, o.Replicas = 1, sim.EqualLoads(64, 8*perReplica), 8
			if r := run(t, o); r.ToOld > 0 || r.After > 1.05 {
				t.Errorf("%d moves went to old Pods; the busiest has %.3f of the mean", r.ToOld, r.After)
			}
		})
	}
}

// The same seed is the same update.
func TestRolloutIsAFunctionOfItsFields(t *testing.T) {
	o := sim.Rollout{Seed: 7, Loads: sim.ZipfLoads(32, 1, 4*perReplica), Replicas: 4, IgnoreCost: true, MinReady: time.Second}
	if a, b := run(t, o), run(t, o); fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%+v, then %+v", a, b)
	}
}

func TestRolloutRefusesNothingToUpdate(t *testing.T) {
	for _, o := range []sim.Rollout{{}, {Loads: []int64{1}}, {Replicas: 1}} {
		if _, err := o.Run(); err == nil {
			t.Errorf("%+v was run", o)
		}
	}
}

func run(t *testing.T, o sim.Rollout) sim.RolloutResult {
	t.Helper()
	r, err := o.Run()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.3f moves per shard, at most %d, %d to old Pods; max/mean %.3f, before %.3f, least %.3f; took %s",
		r.PerShard(), r.Worst(), r.ToOld, r.After, r.Before, r.Least, r.Took)
	return r
}

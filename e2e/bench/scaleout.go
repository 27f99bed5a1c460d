// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	scaleReplicas = 5
	scaleBuckets  = 64
	scaleTakes    = 20 * time.Millisecond
	// scaleCalls is how many reconciles one replica has under way, however many buckets it has: 800 per second.
	scaleCalls = 16
	// scaleRounds is how often the items are reconciled by each number of replicas; the best counts, for all.
	scaleRounds = 2
	// scaleSteady is for how long the buckets have been even, and nothing was reconciled, when it begins: longer than the Cooldown.
	scaleSteady = 3 * time.Second
	// scaleTarget is how much more five replicas have to do than one.
	scaleTarget = 4.5
)

// measureScaleOut has all items reconciled at once by 1 to 5 replicas. A reconcile waits for 20 ms and needs no CPU, as one
// that asks an API: the replicas share one machine, and what is to be seen is how the work is divided.
//
// The honest limit of a replica is that of whatever it asks and shares among all its workers: connections, a client's rate limit,
// the other side's patience. shardctl's Workers are per bucket, so that a replica with all 64 has 64 times as many goroutines as
// one that holds a single one; then one replica alone would be as fast as five. So each process lets 16 reconciles wait at a time and no more, as
// controller-runtime does with MaxConcurrentReconciles, and as the instances had a fixed number of workers in the published measurement that
// this one is compared with: 5 instances of timebertt/kubernetes-controller-sharding got 3.2 times as much done as one (65 %).
//
// Items per second are counted until the last replica has done the last item, so shares that are not even cost what they cost. The
// steady rate is the sum of what each replica does per second while it has something to do.
//
// Each number of replicas is a group of its own, which is measured in its first minute: no load is known yet, and so the
// buckets, which are all the same, are spread evenly by their number.
func measureScaleOut(ctx context.Context, b *bench) error {
	most, rounds := scaleReplicas, scaleRounds
	if b.quick {
		most, rounds = 2, 1
	}
	var numbers []int
	for n := range most {
		numbers = append(numbers, n+1)
	}
	if err := b.scaleOut(ctx, session, numbers, rounds, scaleTarget); err != nil {
		return err
	}
	return b.scaleOut(ctx, controllerRuntime, []int{1, most}, 1, 0)
}

// scaleOut measures several numbers of replicas, and compares the last with the first, which is 1.
func (b *bench) scaleOut(ctx context.Context, who contender, numbers []int, rounds int, target float64) error {
	var rates []float64
	for _, n := range numbers {
		rate, err := b.scaledTo(ctx, who, n, rounds)
		if err != nil {
			return err
		}
		rates = append(rates, rate)
	}
	b.sample("scaleout_throughput", who, "1/s", rates)
	most := numbers[len(numbers)-1]
	times := figure{Name: fmt.Sprintf("scaleout_%d_replicas", most), Who: who, Unit: "times", Value: rates[len(rates)-1] / rates[0]}
	if target > 0 {
		times = times.atLeast(target)
	}
	b.add(times)
	b.add(figure{Name: fmt.Sprintf("scaleout_efficiency_%d_replicas", most), Who: who, Unit: "%", Value: 100 * times.Value / float64(most)})
	return nil
}

// scaledTo is how many items per second so many replicas reconcile.
func (b *bench) scaledTo(ctx context.Context, who contender, replicas, rounds int) (rate float64, err error) {
	c, err := b.crew(ctx, fmt.Sprintf("scaleout-%s-%d", who, replicas), "--contender="+string(who), "--elects", fmt.Sprintf("--buckets=%d", scaleBuckets),
		fmt.Sprintf("--workers=%d", scaleCalls), fmt.Sprintf("--calls=%d", scaleCalls), "--takes="+scaleTakes.String())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.dismiss()) }()
	for range replicas {
		if err := c.join(ctx); err != nil {
			return 0, err
		}
	}
	if _, err := c.await(ctx, time.Time{}, c.items); err != nil {
		return 0, err
	}
	settled := c.oneLeads
	if who == session {
		settled = c.evenlyShared
	}
	steady := scaleSteady
	if b.quick {
		steady = 0
	}
	if err := c.awaitSteady(ctx, steady, settled); err != nil {
		return 0, err
	}
	return b.allAtOnce(ctx, c, who, rounds)
}

// allAtOnce has all items reconciled some times, and returns how many were per second at best.
func (b *bench) allAtOnce(ctx context.Context, c *crew, who contender, rounds int) (float64, error) {
	var best, steady float64
	for range rounds {
		shares, err := c.fanOut(ctx)
		if err != nil {
			return 0, err
		}
		took := together(shares)
		best = max(best, float64(c.items)/took.Last.Sub(took.First).Seconds())
		var sum float64
		for _, share := range shares {
			sum += share.rate()
		}
		steady = max(steady, sum)
	}
	n := len(c.members)
	limit := float64(n*scaleCalls) / scaleTakes.Seconds()
	b.add(figure{Name: fmt.Sprintf("scaleout_throughput_%d_replicas", n), Who: who, Unit: "1/s", Value: best})
	b.add(figure{Name: fmt.Sprintf("scaleout_steady_%d_replicas", n), Who: who, Unit: "1/s", Value: steady})
	b.add(figure{Name: fmt.Sprintf("scaleout_of_what_waiting_allows_%d_replicas", n), Who: who, Unit: "%", Value: 100 * best / limit})
	return best, nil
}

// awaitSteady waits until something has held for a while.
func (c *crew) awaitSteady(ctx context.Context, steady time.Duration, holds func(context.Context) error) error {
	since := time.Now()
	var missing error
	err := wait.PollUntilContextTimeout(ctx, burstsPoll, crewLimit, true, func(ctx context.Context) (bool, error) {
		if missing = holds(ctx); missing != nil {
			since = time.Now()
		}
		return missing == nil && time.Since(since) >= steady, nil
	})
	if err != nil {
		return fmt.Errorf("%s: waited at most %s for %d replicas to settle: %w; the logs are in %s", c.name, crewLimit, len(c.members), errors.Join(missing, err), c.LogDir())
	}
	return nil
}

// evenlyShared holds while all replicas have their share of the buckets and nothing to do.
func (c *crew) evenlyShared(ctx context.Context) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if err := fleet.Spread(scaleBuckets, len(c.members))(s); err != nil {
		return err
	}
	return c.idle(len(c.members))
}

// oneLeads holds while one replica has reconciled something and has nothing to do.
func (c *crew) oneLeads(context.Context) error { return c.idle(1) }

// idle holds while so many replicas have reconciled something, and have nothing to do.
func (c *crew) idle(want int) error {
	idle := 0
	for _, m := range c.members {
		is, err := m.idle()
		if err != nil {
			return err
		}
		if is {
			idle++
		}
	}
	if idle != want {
		return fmt.Errorf("%d of %d replicas have reconciled something and are done", idle, want)
	}
	return nil
}

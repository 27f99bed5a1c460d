// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	// scaleKnown is for how long no bucket has moved and nothing was reconciled since loads are known: longer than it takes until the
	// leader has heard of them and acted.
	scaleKnown = 8 * time.Second
	// scaleKnownLimit bounds the time until loads are known: a replica looks at them every 10 s, leaves out the first half minute of a
	// term, and needs another minute.
	scaleKnownLimit = 3 * time.Minute
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
// buckets, which are all the same, are spread evenly by their number. The largest group goes on with one burst after the other until the
// load of every bucket is known, and is measured once more when the leader has moved what it then wants to.
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

// scaleOut measures several numbers of replicas, and compares them with the first, which is 1.
func (b *bench) scaleOut(ctx context.Context, who contender, numbers []int, rounds int, target float64) error {
	most := numbers[len(numbers)-1]
	var rates []float64
	var known float64
	for _, n := range numbers {
		rate, later, err := b.scaledTo(ctx, who, n, rounds, who == session && n == most)
		if err != nil {
			return err
		}
		rates, known = append(rates, rate), later
	}
	b.sample("scaleout_throughput", who, "1/s", rates)
	times := figure{Name: fmt.Sprintf("scaleout_%d_replicas", most), Who: who, Unit: "times", Value: rates[len(rates)-1] / rates[0]}
	if target > 0 {
		times = times.atLeast(target)
	}
	b.add(times)
	if known > 0 {
		b.add(figure{Name: fmt.Sprintf("scaleout_%d_replicas_loads_known", most), Who: who, Unit: "times", Value: known / rates[0]})
	}
	for i, n := range numbers {
		b.add(figure{Name: fmt.Sprintf("scaleout_efficiency_%d_replicas", n), Who: who, Unit: "%", Value: 100 * rates[i] / rates[0] / float64(n)})
	}
	return nil
}

// scaledTo is how many items per second so many replicas reconcile; and how many when loads are known, if that is asked for.
func (b *bench) scaledTo(ctx context.Context, who contender, replicas, rounds int, later bool) (rate, known float64, err error) {
	c, err := b.crew(ctx, fmt.Sprintf("scaleout-%s-%d", who, replicas), "--contender="+string(who), "--elects", fmt.Sprintf("--buckets=%d", scaleBuckets),
		fmt.Sprintf("--workers=%d", scaleCalls), fmt.Sprintf("--calls=%d", scaleCalls), "--takes="+scaleTakes.String())
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, c.dismiss()) }()
	for range replicas {
		if err := c.join(ctx); err != nil {
			return 0, 0, err
		}
	}
	if _, err := c.await(ctx, time.Time{}, c.items); err != nil {
		return 0, 0, err
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
		return 0, 0, err
	}
	if rate, err = b.allAtOnce(ctx, c, who, rounds); err != nil || !later {
		return rate, 0, err
	}
	known, err = b.loadsKnown(ctx, c, who)
	return rate, known, err
}

// loadsKnown has all items reconciled once when loads are known and what they make the leader move has been moved. In a hurry
// nothing is waited for.
func (b *bench) loadsKnown(ctx context.Context, c *crew, who contender) (float64, error) {
	if !b.quick {
		if err := c.makeLoadsKnown(ctx); err != nil {
			return 0, err
		}
		if err := c.awaitSteady(ctx, scaleKnown, c.keepShares()); err != nil {
			return 0, err
		}
	}
	shares, err := c.fanOut(ctx)
	if err != nil {
		return 0, err
	}
	took := together(shares)
	rate := float64(c.items) / took.Last.Sub(took.First).Seconds()
	b.add(figure{Name: fmt.Sprintf("scaleout_throughput_%d_replicas_loads_known", len(c.members)), Who: who, Unit: "1/s", Value: rate})
	b.add(figure{Name: fmt.Sprintf("scaleout_reconciled_again_%d_replicas_loads_known", len(c.members)), Who: who, Unit: "%", Value: took.again()})
	return rate, nil
}

// allAtOnce has all items reconciled some times, and returns how many were per second at best.
func (b *bench) allAtOnce(ctx context.Context, c *crew, who contender, rounds int) (float64, error) {
	var best, steady, again float64
	for range rounds {
		shares, err := c.fanOut(ctx)
		if err != nil {
			return 0, err
		}
		took := together(shares)
		again = max(again, took.again())
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
	b.add(figure{Name: fmt.Sprintf("scaleout_reconciled_again_%d_replicas", n), Who: who, Unit: "%", Value: again})
	return best, nil
}

// awaitSteady waits until something has held for a while.
func (c *crew) awaitSteady(ctx context.Context, steady time.Duration, holds func(context.Context) error) error {
	since := time.Now()
	var missing error
	err := wait.PollUntilContextTimeout(ctx, burstsPoll, crewLimit, true, func(ctx context.Context) (bool, error) {
		found := holds(ctx)
		if ctx.Err() == nil { // else what was missing before says more
			missing = found
		}
		if found != nil {
			since = time.Now()
		}
		return found == nil && time.Since(since) >= steady, nil
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

// makeLoadsKnown has all items reconciled again and again until there is a load of every bucket.
func (c *crew) makeLoadsKnown(ctx context.Context) error {
	for began := time.Now(); ; {
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		unknown := 0
		for _, bucket := range s.Shards {
			if bucket.Load == 0 {
				unknown++
			}
		}
		if unknown == 0 {
			return nil
		}
		if time.Since(began) > scaleKnownLimit {
			return fmt.Errorf("%s: after %s the loads of %d buckets are not known; the logs are in %s", c.name, scaleKnownLimit, unknown, c.LogDir())
		}
		if _, err := c.fanOut(ctx); err != nil {
			return err
		}
	}
}

// keepShares holds while no bucket moves and nobody has anything to do.
func (c *crew) keepShares() func(context.Context) error {
	var before map[string]string
	return func(ctx context.Context) error {
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		holders := map[string]string{} // by bucket
		for _, bucket := range s.Shards {
			holders[bucket.Name] = bucket.Holder
		}
		moved := !maps.Equal(before, holders)
		before = holders
		if moved {
			return errors.New("buckets move")
		}
		if err := fleet.Held(scaleBuckets)(s); err != nil {
			return err
		}
		return c.idle(len(c.members))
	}
}

// oneLeads holds while one replica has reconciled something and has nothing to do.
func (c *crew) oneLeads(context.Context) error { return c.idle(1) }

// idle holds while so many replicas have reconciled something, and have nothing to do.
func (c *crew) idle(want int) error {
	idle := 0
	for _, m := range c.members {
		if err := m.read(); err != nil {
			return err
		}
		if m.idle() {
			idle++
		}
	}
	if idle != want {
		return fmt.Errorf("%d of %d replicas have reconciled something and are done", idle, want)
	}
	return nil
}

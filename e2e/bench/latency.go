// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"

	"github.com/shardctl/shardctl/e2e/durations"
)

const (
	latencyWorkers = 4
	// latencyEvery is the pace of changes, 300 per second: well below what the API server of a small machine bears beside everything
	// else, for else it is the API server whose latency is measured.
	latencyEvery = time.Second / 300
	// latencyWarm is how many changes come before those that count; latencyCounted is how many count.
	latencyWarm, latencyCounted = 200, 1000
	// latencyRounds is how often each contender has its turn.
	latencyRounds = 2
	// writers is how many changes may be under way.
	writers = 16
)

// latencyTakes are how long reconciles take, which need no CPU meanwhile: at 300 per second, 1 ms keeps four workers busy for 7.5 %
// of the time, and a change waits for what lies between the API server and the workers. 10 ms keep them busy for 75 %, and it waits
// for a worker, too.
func latencyTakes() []time.Duration { return []time.Duration{time.Millisecond, 10 * time.Millisecond} }

// measureLatency changes items at a steady pace, each of them once, and takes the time from when the writer has sent a change until its
// reconcile begins. The contenders have their turns one after the other, each with a process that is alone and has reconciled
// everything before.
//
// That includes the API server's work, which does not depend on the contender: how long the writer waited for its answers is a figure
// beside it. The answer would be no better moment to count from, since many reconciles begin before it has arrived.
func measureLatency(ctx context.Context, b *bench) error {
	for _, takes := range latencyTakes() {
		if err := b.latencies(ctx, takes); err != nil {
			return err
		}
	}
	return nil
}

// latencies measures all contenders with reconciles that take so long.
func (b *bench) latencies(ctx context.Context, takes time.Duration) error {
	who := []contender{session, controllerRuntime, knative}
	rounds := latencyRounds
	if b.quick {
		rounds = 1
	}
	all := make([]underLoad, len(who))
	for round := range rounds {
		for i := range who {
			i := (i + round) % len(who)
			one, err := b.latency(ctx, fmt.Sprintf("latency-%d-%d-%d", takes.Milliseconds(), round, i), who[i], takes)
			if err != nil {
				return err
			}
			all[i].add(one)
		}
	}
	suffix := fmt.Sprintf("_of_%d_ms", takes.Milliseconds())
	for i, w := range who {
		b.addLatencies("change_to_reconcile"+suffix, w, all[i].reconciles)
		b.addLatencies("change_to_answer_beside_reconciles"+suffix, w, all[i].answers)
		pace := float64(len(all[i].answers)) / all[i].took.Seconds()
		b.add(figure{Name: "changes_beside_reconciles" + suffix, Who: w, Unit: "1/s", Value: pace})
		b.add(figure{Name: "workers_busy_with_reconciles" + suffix, Who: w, Unit: "%", Value: 100 * pace * takes.Seconds() / latencyWorkers})
	}
	return nil
}

// underLoad is what came of changes: how long after each its reconcile began, and the writer had its answer; and how long all of them
// took, one after the other.
type underLoad struct {
	reconciles, answers []time.Duration
	took                time.Duration
}

func (l *underLoad) add(other underLoad) {
	l.reconciles, l.answers = append(l.reconciles, other.reconciles...), append(l.answers, other.answers...)
	l.took += other.took
}

// addLatencies adds the figures of some times.
func (b *bench) addLatencies(name string, who contender, all []time.Duration) {
	slices.Sort(all)
	for _, q := range []struct {
		name  string
		share float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
		b.add(figure{Name: name + "_" + q.name, Who: who, Unit: "ms", Value: millis(durations.Quantile(all, q.share))})
	}
	values := make([]float64, len(all))
	for i, one := range all {
		values[i] = millis(one)
	}
	b.sample(name, who, "ms", values)
}

// latency changes items while one contender's controller runs.
func (b *bench) latency(ctx context.Context, name string, who contender, takes time.Duration) (l underLoad, err error) {
	c, err := b.crew(ctx, name, "--contender="+string(who), fmt.Sprintf("--workers=%d", latencyWorkers), "--takes="+takes.String(), "--each")
	if err != nil {
		return underLoad{}, err
	}
	defer func() { err = errors.Join(err, c.dismiss()) }()
	if err := c.begin(ctx); err != nil {
		return underLoad{}, err
	}
	warm, counted := latencyWarm, latencyCounted
	if b.quick {
		warm, counted = 0, c.items/2
	}
	began := time.Now()
	changes, err := change(ctx, c.client, name, warm+counted)
	if err != nil {
		return underLoad{}, err
	}
	bursts, err := c.await(ctx, began, len(changes))
	if err != nil {
		return underLoad{}, err
	}
	reconciled := together(bursts).Began
	for _, done := range changes[warm:] {
		at, ok := reconciled[done.item]
		if !ok {
			return underLoad{}, fmt.Errorf("%s: %s was changed, and never reconciled; the logs are in %s", name, done.item, c.LogDir())
		}
		l.reconciles = append(l.reconciles, at.Sub(done.sent))
		l.answers = append(l.answers, done.answered.Sub(done.sent))
	}
	l.took = changes[len(changes)-1].sent.Sub(changes[warm].sent)
	return l, nil
}

// changed is one change of an item.
type changed struct {
	item           string
	sent, answered time.Time
}

// change changes so many items, each once, at the pace as long as the API server keeps up with it.
func change(ctx context.Context, client dynamic.Interface, to string, count int) ([]changed, error) {
	ticker := time.NewTicker(latencyEvery)
	defer ticker.Stop()
	all := make([]changed, count)
	writing, ctx := errgroup.WithContext(ctx)
	writing.SetLimit(writers)
	for i := range all {
		writing.Go(func() error {
			one := changed{item: itemName(i), sent: time.Now()}
			err := touch(ctx, client, itemsResource, one.item, to)
			one.answered = time.Now()
			all[i] = one
			return err
		})
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), writing.Wait())
		}
	}
	return all, writing.Wait()
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

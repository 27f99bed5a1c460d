// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

const (
	// fanOuts are how many each figure is the median of, after some that do not count. Of both there are so many that everybody is
	// first as often as anybody else.
	fanOuts, fanOutsBefore = 12, 4
	// plainQueue marks figures of controller-runtime with client-go's queue.
	plainQueue = "_client_go_queue"
)

// runner is one contender's controller, and how it is started.
type runner struct {
	who    contender
	suffix string // of the names of its figures and crews
	args   []string
}

// runners are who reconciles. controller-runtime does with its own priority queue, which is its default, and with client-go's,
// which it can be told to use.
func runners() []runner {
	return []runner{
		{who: session},
		{who: controllerRuntime},
		{who: controllerRuntime, suffix: plainQueue, args: []string{"--priority-queue=false"}},
		{who: knative},
	}
}

// measureThroughput has all items reconciled at once, by the change of one object that every controller has been told to map to
// them. That is a burst, enqueued by one handler while the workers take from the queue already, and not a queue that many fill
// steadily. Items per second are counted from the beginning of the first reconcile to the end of the last of all, so they are what
// goes through queue and workers. Every item has to be among them; one that is reconciled again for the same change takes its time
// and does not count, and how many are is a figure beside.
//
// The contenders have their turns one after the other, and a different one begins each time: nobody always comes after the same.
func measureThroughput(ctx context.Context, b *bench) error {
	counts := []int{1, 4, 16}
	if b.quick {
		counts = counts[:1]
	}
	for _, workers := range counts {
		if err := b.throughput(ctx, workers); err != nil {
			return err
		}
	}
	return nil
}

// throughput measures all runners with the same number of workers. Ours has to be no slower than controller-runtime as that is
// by default: both queues know what is urgent. client-go's plain queue does not, and is quicker for it.
func (b *bench) throughput(ctx context.Context, workers int) (err error) {
	name := fmt.Sprintf("empty_reconciles_%d_workers", workers)
	var crews []*crew
	defer func() {
		for _, c := range crews {
			err = errors.Join(err, c.dismiss())
		}
	}()
	for i, r := range runners() {
		c, err := b.crew(ctx, fmt.Sprintf("throughput-%d-%d", workers, i), append(r.args, "--contender="+string(r.who), fmt.Sprintf("--workers=%d", workers))...)
		if err != nil {
			return err
		}
		crews = append(crews, c)
		if err := c.begin(ctx); err != nil {
			return err
		}
	}
	turns, err := b.takeTurns(ctx, crews)
	if err != nil {
		return err
	}
	medians := map[string]float64{} // by contender and suffix
	for i, r := range runners() {
		rates := turns[i].rates
		slices.Sort(rates)
		median := rates[len(rates)/2]
		b.sample(name+r.suffix, r.who, "1/s", rates)
		b.add(figure{Name: name + r.suffix, Who: r.who, Unit: "1/s", Value: median})
		b.add(figure{Name: name + r.suffix + "_best", Who: r.who, Unit: "1/s", Value: rates[len(rates)-1]})
		b.add(figure{Name: name + r.suffix + "_reconciled_again", Who: r.who, Unit: "%", Value: slices.Max(turns[i].again)})
		medians[string(r.who)+r.suffix] = median
	}
	ours, theirs := medians[string(session)], medians[string(controllerRuntime)]
	b.add(figure{Name: name + "_times_controller_runtime", Unit: "times", Value: ours / theirs}.atLeast(1))
	b.add(figure{Name: name + plainQueue + "_times_controller_runtime", Unit: "times", Value: ours / medians[string(controllerRuntime)+plainQueue]})
	return nil
}

// turns are what a crew has done: items per second, and how many per hundred were reconciled again, each time.
type turns struct{ rates, again []float64 }

// takeTurns lets the crews reconcile all items one after the other, again and again.
func (b *bench) takeTurns(ctx context.Context, crews []*crew) ([]turns, error) {
	before, counted := fanOutsBefore, fanOuts
	if b.quick {
		before, counted = 0, 1
	}
	all := make([]turns, len(crews))
	for turn := range before + counted {
		for i := range crews {
			i := (i + turn) % len(crews)
			shares, err := crews[i].fanOut(ctx)
			if err != nil {
				return nil, err
			}
			if turn >= before {
				took := together(shares)
				all[i].rates = append(all[i].rates, float64(crews[i].items)/took.Last.Sub(took.First).Seconds())
				all[i].again = append(all[i].again, took.again())
			}
		}
	}
	return all, nil
}

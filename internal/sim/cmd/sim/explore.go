// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/internal/sim"
)

// progressEvery is the time between two lines of progress.
const progressEvery = 10 * time.Second

// explorer runs histories until one is violated.
type explorer struct {
	options
	next  atomic.Uint64 // histories begun
	done  atomic.Uint64
	began time.Time

	mu       sync.Mutex
	total    sim.Summary
	violated *found
}

// found is the first violation, that of the lowest seed known.
type found struct {
	seed      uint64
	violation *sim.Violation
}

// explore runs histories on all workers, and says what they came to.
func explore(ctx context.Context, o options, out, progress io.Writer) error {
	x := &explorer{options: o, began: time.Now()}
	running, finished := context.WithCancel(ctx)
	g, running := errgroup.WithContext(running)
	g.Go(func() error { return x.reportLoop(running, progress) })
	g.Go(func() error {
		defer finished()
		return x.workAll(running)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return x.conclude(ctx, out)
}

func (x *explorer) workAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range x.workers {
		g.Go(func() error {
			x.work(ctx)
			return nil
		})
	}
	return g.Wait()
}

// work runs one history after the other.
func (x *explorer) work(ctx context.Context) {
	var sum sim.Summary
	defer func() {
		x.mu.Lock()
		x.total.Merge(&sum)
		x.mu.Unlock()
	}()
	for ctx.Err() == nil && !x.failed() {
		i := x.next.Add(1)
		if i > x.histories {
			return
		}
		h := sim.NewHistory(x.from + i)
		if violation := h.Run(); violation != nil {
			x.fail(found{x.from + i, violation})
		}
		sum.Add(h)
		x.done.Add(1)
	}
}

func (x *explorer) failed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.violated != nil
}

func (x *explorer) fail(f found) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.violated == nil || f.seed < x.violated.seed {
		x.violated = &f
	}
}

func (x *explorer) reportLoop(ctx context.Context, progress io.Writer) error {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			n := x.done.Load()
			fmt.Fprintf(progress, "%d of %d histories, %.0f per second\n", n, x.histories, float64(n)/time.Since(x.began).Seconds())
		case <-ctx.Done():
			return nil
		}
	}
}

// conclude prints what was found.
func (x *explorer) conclude(ctx context.Context, out io.Writer) error {
	if err := x.show(ctx, out); err != nil {
		return err
	}
	if err := x.total.Print(out); err != nil {
		return err
	}
	verdict, note := x.verdict(ctx, out), ""
	if errors.Is(verdict, errInterrupted) {
		note = fmt.Sprintf(", interrupted before %d", x.histories)
	}
	fmt.Fprintf(out, "sim: %d histories, %d violations, %.1f history-hours simulated, %.1f s%s\n",
		x.total.Histories, x.total.Violations, x.total.Virtual.Hours(), time.Since(x.began).Seconds(), note)
	return verdict
}

// telling is how many histories must have met everything that the simulator
// knows of.
const telling = 2000

// verdict says what the histories come to, and what never happened in them.
func (x *explorer) verdict(ctx context.Context, out io.Writer) error {
	switch {
	case x.violated != nil:
		return errViolated
	case ctx.Err() != nil && x.done.Load() < x.histories:
		return errInterrupted
	case x.total.Histories < telling:
		return nil
	}
	missing := x.total.Missing()
	for _, what := range missing {
		fmt.Fprintf(out, "never happened: %s\n", what)
	}
	if len(missing) > 0 {
		return errNeverHappened
	}
	return nil
}

// minimizing is how long a history may take to be made shorter.
const minimizing = 30 * time.Second

// show prints the violation, if there is one, and how to see it again.
func (x *explorer) show(ctx context.Context, out io.Writer) error {
	if x.violated == nil {
		return nil
	}
	fmt.Fprintf(out, "violation: seed %d: %s\n%s\n", x.violated.seed, x.violated.violation, sim.Command(x.violated.seed, x.only))
	if !x.minimize {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, minimizing)
	defer cancel()
	if m := sim.Minimize(bounded, x.violated.seed); m != nil {
		return m.Print(out)
	}
	return nil
}

// replay shows the history of one seed, or what is kept of it.
func replay(ctx context.Context, o options, out io.Writer) error {
	x := &explorer{options: o, began: time.Now()}
	x.minimize = false // a transcript was asked for
	h := sim.NewHistory(o.seed)
	if o.only != nil {
		h = sim.NewHistoryOf(o.seed, *o.only)
	}
	violation, err := transcribe(h, o, out)
	if err != nil {
		return err
	}
	x.total.Add(h)
	x.histories = 1
	x.done.Add(1)
	if violation != nil {
		x.violated = &found{o.seed, violation}
	}
	return x.conclude(ctx, out)
}

// transcribe runs a history and writes all of its transcript; of a kept one the
// story, as the minimiser tells it, unless it is to be verbose.
func transcribe(h *sim.History, o options, out io.Writer) (*sim.Violation, error) {
	if o.only != nil && !o.verbose {
		return h.Tell(out)
	}
	buffered := bufio.NewWriter(out)
	h.Log(buffered, o.verbose)
	violation := h.Run()
	return violation, buffered.Flush()
}

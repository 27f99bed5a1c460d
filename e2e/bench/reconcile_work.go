// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"
)

const (
	// burstOver is how long nothing has been reconciled when a burst is over: longer than the machine is usually busy with anything
	// else in the midst of one. If it is not, there are two bursts, which whoever reads them adds up again.
	burstOver = 300 * time.Millisecond
	burstTick = 25 * time.Millisecond
)

// work is what a reconcile does, whoever's controller calls it: nothing, or wait as for the answer of an API. It notes which items
// there were, and the time of the first and the last of a burst. That costs every reconcile about 0.1 µs, the same for all
// contenders.
type work struct {
	takes time.Duration
	calls chan struct{} // has one in it for each call; nil for no limit
	each  bool          // note when each item's reconcile begins

	// One lock for all, so that no reconcile is ever half in one burst and half in the next.
	mu       sync.Mutex
	underWay int
	current  burst // what has ended of it; without First if there is none
}

func newWork(takes time.Duration, calls int, each bool) *work {
	w := &work{takes: takes, each: each}
	if calls > 0 {
		w.calls = make(chan struct{}, calls)
	}
	return w
}

// reconcile does the work for an item.
func (w *work) reconcile(ctx context.Context, item string) error {
	number, err := itemNumber(item)
	if err != nil {
		return err
	}
	w.begin(item)
	defer w.end(number)
	if w.takes == 0 {
		return nil
	}
	return w.call(ctx)
}

func (w *work) begin(item string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.underWay++
	if !w.each && !w.current.First.IsZero() {
		return
	}
	now := time.Now()
	if w.current.First.IsZero() {
		w.current.First = now
	}
	if !w.each {
		return
	}
	if w.current.Began == nil {
		w.current.Began = map[string]time.Time{}
	}
	if _, again := w.current.Began[item]; !again {
		w.current.Began[item] = now
	}
}

func (w *work) end(number int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.underWay--
	w.current.Reconciles++
	w.current.Items.add(number)
	w.current.Last = time.Now()
}

// call waits as for an API that takes so long to answer, and that no more than so many ask at a time.
func (w *work) call(ctx context.Context) error {
	if w.calls != nil {
		select {
		case w.calls <- struct{}{}:
			defer func() { <-w.calls }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	answer := time.NewTimer(w.takes)
	defer answer.Stop()
	select {
	case <-answer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// burst is a series of reconciles without a pause. One that goes on has none yet, and only a First.
type burst struct {
	Reconciles int       `json:"reconciles"`
	First      time.Time `json:"first"`         // began
	Last       time.Time `json:"last,omitzero"` // ended
	// Items are those that were reconciled, once or more often.
	Items itemSet `json:"items,omitempty"`
	// Began says of each item when its first reconcile did, if that was asked for.
	Began map[string]time.Time `json:"began,omitempty"`
}

// rate is how many were reconciled per second.
func (b burst) rate() float64 { return float64(b.Reconciles) / b.Last.Sub(b.First).Seconds() }

// again is how many reconciles were of items that had been reconciled already, per hundred items.
func (b burst) again() float64 {
	items := b.Items.len()
	return 100 * float64(b.Reconciles-items) / float64(items)
}

// and is both bursts in one.
func (b burst) and(other burst) burst {
	if b.Reconciles == 0 {
		return other
	}
	if other.Reconciles == 0 {
		return b
	}
	both := burst{
		Reconciles: b.Reconciles + other.Reconciles, First: b.First, Last: b.Last,
		Items: b.Items.and(other.Items), Began: map[string]time.Time{},
	}
	if other.First.Before(b.First) {
		both.First = other.First
	}
	if other.Last.After(b.Last) {
		both.Last = other.Last
	}
	maps.Copy(both.Began, other.Began)
	maps.Copy(both.Began, b.Began)
	return both
}

// noteLoop writes each burst to a file, one JSON object per line: that it has begun, and once it is over what it was.
func (w *work) noteLoop(ctx context.Context, to io.Writer) error {
	ticker := time.NewTicker(burstTick)
	defer ticker.Stop()
	lines := json.NewEncoder(to)
	noted := false // that it has begun
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		first, done, over := w.look()
		if !first.IsZero() && !noted {
			noted = true
			if err := lines.Encode(burst{First: first}); err != nil {
				return fmt.Errorf("note a burst: %w", err)
			}
		}
		if !over {
			continue
		}
		noted = false
		if err := lines.Encode(done); err != nil {
			return fmt.Errorf("note a burst: %w", err)
		}
	}
}

// look tells since when there is a burst, and takes it if it is over.
func (w *work) look() (first time.Time, done burst, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first = w.current.First
	if first.IsZero() || w.underWay > 0 || time.Since(w.current.Last) < burstOver {
		return first, burst{}, false
	}
	done, w.current = w.current, burst{}
	return first, done, true
}

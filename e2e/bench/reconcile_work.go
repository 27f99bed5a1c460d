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
	"sync/atomic"
	"time"
)

const (
	// burstOver is how long nothing has been reconciled when a burst is over: longer than the machine is ever busy with anything
	// else in the midst of one.
	burstOver = 300 * time.Millisecond
	burstTick = 25 * time.Millisecond
)

// work is what a reconcile does, whoever's controller calls it: nothing, or wait as for the answer of an API. It counts, and takes
// the time of the first and the last of a burst. That costs every reconcile about 0.1 µs, the same for all contenders.
type work struct {
	takes time.Duration
	calls chan struct{} // has one in it for each call; nil for no limit

	begun, ended atomic.Int64 // how many reconciles have
	first, last  atomic.Int64 // when the first of the burst began and the last one ended, in ns of the wall clock; 0 for never

	mu    sync.Mutex
	began map[string]time.Time // by item, the first time in the burst; nil if that is not noted
}

func newWork(takes time.Duration, calls int, each bool) *work {
	w := &work{takes: takes}
	if calls > 0 {
		w.calls = make(chan struct{}, calls)
	}
	if each {
		w.began = map[string]time.Time{}
	}
	return w
}

// reconcile does the work for an item.
func (w *work) reconcile(ctx context.Context, item string) error {
	w.begun.Add(1) // before: see burstEnd
	if w.first.Load() == 0 {
		w.first.CompareAndSwap(0, time.Now().UnixNano())
	}
	if w.began != nil {
		w.noteBegun(item)
	}
	defer func() {
		w.last.Store(time.Now().UnixNano())
		w.ended.Add(1)
	}()
	if w.takes == 0 {
		return nil
	}
	return w.call(ctx)
}

func (w *work) noteBegun(item string) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, again := w.began[item]; !again {
		w.began[item] = now
	}
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
	// Began says of each item when its first reconcile did, if that was asked for.
	Began map[string]time.Time `json:"began,omitempty"`
}

// rate is how many were reconciled per second.
func (b burst) rate() float64 { return float64(b.Reconciles) / b.Last.Sub(b.First).Seconds() }

// and is both bursts in one.
func (b burst) and(other burst) burst {
	if b.Reconciles == 0 {
		return other
	}
	both := burst{Reconciles: b.Reconciles + other.Reconciles, First: b.First, Last: b.Last, Began: map[string]time.Time{}}
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
	var noted int64
	goesOn := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if first := w.first.Load(); first != 0 && !goesOn {
			goesOn = true
			if err := lines.Encode(burst{First: time.Unix(0, first)}); err != nil {
				return fmt.Errorf("note a burst: %w", err)
			}
		}
		done, over := w.burstEnd(noted)
		if !over {
			continue
		}
		goesOn, noted = false, noted+int64(done.Reconciles)
		if err := lines.Encode(done); err != nil {
			return fmt.Errorf("note a burst: %w", err)
		}
	}
}

// burstEnd is the burst, if there is one and it is over: the reconciles beyond those noted before.
func (w *work) burstEnd(noted int64) (done burst, over bool) {
	last := time.Unix(0, w.last.Load())
	ended, begun := w.ended.Load(), w.begun.Load()
	if ended == noted || begun != ended || time.Since(last) < burstOver {
		return burst{}, false
	}
	done = burst{Reconciles: int(ended - noted), First: time.Unix(0, w.first.Swap(0)), Last: last, Began: w.takeBegun()}
	if w.begun.Load() != begun { // one of the next burst may have begun too early to set the time, a moment ago
		w.first.CompareAndSwap(0, time.Now().UnixNano())
	}
	return done, true
}

func (w *work) takeBegun() map[string]time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.began
	if w.began != nil {
		w.began = map[string]time.Time{}
	}
	return taken
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// stream is a watch that the reflector need not give up when it fails. An API server
// that was restarted remembers nothing of what was before, so it tells every watch
// that is resumed to list anew (410). The reflector does that after its back-off,
// which doubles with each such end to a minute and forgets them only after two
// without one: long enough to hold a shard and see nothing of its objects. A stream
// lists anew by itself, soon, and passes on what has changed as events, which
// end with a bookmark; then it ends as a watch does whose time is up, which the
// reflector resumes from there at once. What it cannot mend it passes on.
type stream struct {
	source   *source
	upstream watch.Interface
	result   chan watch.Event
	stop     context.CancelFunc
	began    time.Time

	// initial says that this is a streaming list that is not complete: whatever
	// happens to that is for the reflector.
	initial bool
	// reached is the resourceVersion that has been passed on; passed says that any
	// event has.
	reached string
	passed  bool
}

const (
	// notShort is for how long the reflector wants a watch to last that shows nothing.
	// After a shorter one it would back off and list anew.
	notShort = time.Second
	// maxPace bounds the pause between two streams that end early, give or take half.
	maxPace = 30 * time.Second
)

// newStream hands on what a watch shows until that ends, it is stopped, or ctx ends.
// source.run waits for its goroutine.
func (s *source) newStream(ctx context.Context, upstream watch.Interface, opts metav1.ListOptions) watch.Interface {
	w := &stream{
		source: s, upstream: upstream, result: make(chan watch.Event), began: time.Now(),
		initial: opts.SendInitialEvents != nil && *opts.SendInitialEvents, reached: opts.ResourceVersion,
	}
	ctx, w.stop = context.WithCancel(ctx)
	if !s.begin() {
		w.stop()
		upstream.Stop()
		close(w.result)
		return w
	}
	go func() {
		defer s.underway.Done()
		defer w.stop()
		defer close(w.result)
		defer upstream.Stop()
		w.relay(ctx)
	}()
	return w
}

func (w *stream) ResultChan() <-chan watch.Event { return w.result }

func (w *stream) Stop() { w.stop() }

// relay passes events on until the watch ends.
func (w *stream) relay(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-w.upstream.ResultChan():
			switch {
			case !open:
				w.ended(ctx)
				return
			case event.Type == watch.Error:
				w.failed(ctx, event)
				return
			case !w.pass(ctx, event):
				return
			}
		}
	}
}

// ended sees to it that a watch that has ended is not too short for the reflector.
func (w *stream) ended(ctx context.Context) {
	switch {
	case w.initial:
	case w.passed:
		w.pause(ctx, 0)
	default:
		w.pause(ctx, notShort-time.Since(w.began))
	}
}

// failed passes an error on if what was missed cannot be had otherwise.
func (w *stream) failed(ctx context.Context, event watch.Event) {
	if !w.initial {
		w.pause(ctx, 0)
		if w.catchUp(ctx) {
			return
		}
	}
	w.pass(ctx, event)
}

// pass is false once nobody listens. What was passed on is the informer's, which
// may change it.
func (w *stream) pass(ctx context.Context, event watch.Event) bool {
	reached, complete := w.reached, !w.initial
	if object, err := meta.Accessor(event.Object); err == nil && event.Type != watch.Error {
		reached = object.GetResourceVersion()
		complete = complete || event.Type == watch.Bookmark && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
	}
	select {
	case w.result <- event:
	case <-ctx.Done():
		return false
	}
	w.passed, w.reached, w.initial = true, reached, !complete
	return true
}

// pause spaces what follows on the end of a watch: many replicas have lost theirs
// at the same time, and one that ends at once may do so again.
func (w *stream) pause(ctx context.Context, least time.Duration) {
	pace := w.source.nextPace(time.Since(w.began))
	sleep(ctx, max(least, jittered(pace)))
}

// nextPace doubles from one stream that ends early to the next.
func (s *source) nextPace(lasted time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lasted > maxOutagePause || s.pace == 0 {
		s.pace = minOutagePause
	}
	pace := s.pace
	s.pace = min(2*pace, maxPace)
	return pace
}

// catchUp lists what the watch has missed and passes it on. It is false, and nothing
// was passed on, if that cannot be done: the reflector then has to.
func (w *stream) catchUp(ctx context.Context) bool {
	if !w.cacheReached(ctx) {
		return false
	}
	list, err := w.source.listOnce(ctx, metav1.ListOptions{
		ResourceVersion: w.reached, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		return false
	}
	events, err := missed(w.source.indexer, list, w.reached, w.source.example)
	if err != nil {
		return false
	}
	for _, event := range events {
		if !w.pass(ctx, event) {
			break
		}
	}
	return true
}

const (
	cachePoll = 5 * time.Millisecond
	// cacheWait bounds the wait for the cache. What is passed on is there as soon as the
	// informer's goroutine has run.
	cacheWait = 2 * time.Second
)

// cacheReached waits until the cache has everything that was passed on. It is false
// if that does not come, or cannot be known: client-go's feature AtomicFIFO may be
// off.
func (w *stream) cacheReached(ctx context.Context) bool {
	if w.reached == "" || w.reached == "0" {
		return false
	}
	for until := time.Now().Add(cacheWait); time.Now().Before(until); {
		if w.source.indexer.LastStoreSyncResourceVersion() == w.reached {
			return true
		}
		if !sleep(ctx, cachePoll) {
			break
		}
	}
	return false
}

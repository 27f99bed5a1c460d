// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

// restartBackoff passes between two servings of a type, so that a type that
// comes and goes with every request (API servers that disagree) costs little.
// It starts anew after a serving that lasted restartReset.
var restartBackoff = wait.Backoff{
	Duration: 500 * time.Millisecond,
	Factor:   2,
	Jitter:   0.5,
	Steps:    7,
	Cap:      30 * time.Second,
}

const restartReset = 2 * time.Minute

// resource is what the Informers of one type share. One goroutine, in run, takes
// the type through its servings; the rest are questions and notes.
type resource struct {
	gvr     schema.GroupVersionResource
	client  Client
	catalog *catalog
	options Options

	// refs counts the Informers that were not released; cancel stops run, nil if
	// it was not started. Both are guarded by Set.mu.
	refs   int
	cancel context.CancelFunc

	// cached is the serving whose cache is read: the current one, or the last
	// one before the Set stopped. nil while the type is missing.
	cached atomic.Pointer[serving]

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced by broadcast
	handlers []*handler
	current  *serving            // the one whose informer runs, or nil
	api      *metav1.APIResource // as last served, nil if never
	absence  error               // what discovery said while current is nil
	failure  error               // of the last request, nil if it succeeded
	failing  time.Time           // since when failure is not nil; zero while it is
	ended    error               // ErrReleased or ErrStopped
	logs     moderation
	requests map[Request]uint64 // all that ended, ever
}

func newResource(gvr schema.GroupVersionResource, client Client, catalog *catalog, o Options) *resource {
	return &resource{gvr: gvr, client: client, catalog: catalog, options: o, changed: make(chan struct{}), requests: map[Request]uint64{}}
}

// run serves the type to its handlers whenever the API server has it, until ctx
// ends.
func (r *resource) run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithValues("type", typeName(r.gvr)))
	backoff := restartBackoff
	for {
		api, ok := r.awaitServed(ctx)
		if !ok {
			return nil
		}
		began := time.Now()
		if err := r.serve(ctx, api); err != nil {
			return err
		}
		if time.Since(began) >= restartReset {
			backoff = restartBackoff
		}
		if !sleep(ctx, backoff.Step()) {
			return nil
		}
	}
}

// awaitServed returns the type as discovery has it; ok is false if ctx ended.
func (r *resource) awaitServed(ctx context.Context) (api metav1.APIResource, ok bool) {
	sub := r.catalog.subscribe(r.gvr, true)
	defer r.catalog.unsubscribe(sub)
	for {
		select {
		case <-ctx.Done():
			return metav1.APIResource{}, false
		case a := <-sub.answers:
			if a.err == nil {
				return a.api, true
			}
			r.notServed(ctx, a.err)
		}
	}
}

// serve runs an informer until the type is gone or ctx ends.
func (r *resource) serve(ctx context.Context, api metav1.APIResource) error {
	sv, err := r.newServing(ctx, api)
	if err != nil {
		return err
	}
	if err := r.begin(sv); err != nil {
		return err
	}
	// Not a child of ctx: only stop may stop the informer.
	informerCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var informer errgroup.Group
	informer.Go(func() error { sv.source.run(informerCtx, sv.informer); return nil })
	gone := r.awaitGone(ctx, sv)
	r.stop(cancel, gone)
	err = informer.Wait()
	if gone != nil {
		r.vanish(ctx)
	}
	return err
}

// awaitGone returns nil when ctx ends, else why discovery, asked because of a 404,
// does not have the type any more as it is being watched.
func (r *resource) awaitGone(ctx context.Context, sv *serving) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sv.notFound:
		}
		a, ok := r.catalog.ask(ctx, r.gvr)
		switch {
		case !ok:
			return nil
		case errors.Is(a.err, ErrNotServed):
			return a.err
		case a.err != nil:
			r.note(ctx, sv, a.err, stillFailing)
		case !sv.sameAs(a.api):
			return fmt.Errorf("%s: %w as kind %s (namespaced: %t) any more",
				typeName(r.gvr), ErrNotServed, sv.api.Kind, sv.api.Namespaced)
		default:
			r.note(ctx, sv, fmt.Errorf("list and watch %s: answered with 404, but discovery has the type", typeName(r.gvr)), stillFailing)
		}
	}
}

// begin makes the serving the current one and registers all handlers with it.
func (r *resource) begin(sv *serving) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.handlers {
		if err := h.register(sv); err != nil {
			return err
		}
	}
	r.current, r.api = sv, &sv.api
	r.absence = nil
	r.fail(nil)
	r.cached.Store(sv)
	r.broadcast()
	return nil
}

// stop makes the informer stop. r.current being nil from here on, no handler is
// removed from an informer that stops: client-go deadlocks when a handler whose
// return it waits for does that.
func (r *resource) stop(cancel context.CancelFunc, gone error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cancel()
	r.current = nil
	for _, h := range r.handlers {
		h.registration = nil
	}
	if gone != nil {
		r.absence = gone
		r.fail(nil)
		r.cached.Store(nil)
	}
	r.broadcast()
}

// vanish tells all handlers that the objects of a type that has gone are gone.
func (r *resource) vanish(ctx context.Context) {
	r.mu.Lock()
	handlers, reason := slices.Clone(r.handlers), r.absence
	r.mu.Unlock()
	klog.FromContext(ctx).Info("A type has gone, waiting for it", "reason", reason)
	for _, h := range handlers {
		h.vanish(ctx)
	}
}

// notServed notes why there is no informer: the type is absent, or nobody knows.
func (r *resource) notServed(ctx context.Context, err error) {
	if !errors.Is(err, ErrNotServed) {
		r.note(ctx, nil, err, always)
		return
	}
	r.mu.Lock()
	first := r.absence == nil
	r.absence = err
	r.fail(nil)
	r.mu.Unlock()
	if first {
		klog.FromContext(ctx).Info("Waiting for a type", "reason", err)
	}
}

// noteWhen says when the outcome of a request counts.
type noteWhen bool

const (
	always noteWhen = false
	// stillFailing: not if a later request has succeeded.
	stillFailing noteWhen = true
)

// note keeps the outcome of the last request, which was made for sv (nil: to find
// out whether the type is served), and logs it in moderation.
func (r *resource) note(ctx context.Context, sv *serving, err error, when noteWhen) {
	r.mu.Lock()
	if r.current != sv || when == stillFailing && r.failure == nil {
		r.mu.Unlock()
		return
	}
	r.fail(err)
	failed := err != nil && r.logs.logFailure(time.Now())
	recovered := err == nil && r.logs.logRecovery()
	r.mu.Unlock()

	logger := klog.FromContext(ctx)
	if failed {
		logger.Error(err, "A type cannot be watched, retrying")
	}
	if recovered {
		logger.Info("A type can be watched again")
	}
}

// noteNotFound keeps a 404 and has it looked into: usually the type has gone, and
// that is no failure to complain about.
func (r *resource) noteNotFound(sv *serving, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != sv {
		return
	}
	r.fail(err)
	select {
	case sv.notFound <- struct{}{}:
	default: // being looked into
	}
}

// fail sets the failure, or ends it; r.mu is held.
func (r *resource) fail(err error) {
	switch {
	case err == nil:
		r.failing = time.Time{}
	case r.failure == nil:
		r.failing = time.Now()
	}
	r.failure = err
}

// end marks the resource as over, for good.
func (r *resource) end(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		r.ended = why
		r.broadcast()
	}
}

// broadcast wakes those who wait for a change; r.mu is held.
func (r *resource) broadcast() {
	close(r.changed)
	r.changed = make(chan struct{})
}

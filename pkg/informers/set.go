// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Set holds one shared informer per watched resource type. Its methods may be
// called from several goroutines.
type Set struct {
	client  Client
	options Options
	catalog *catalog

	mu        sync.Mutex
	resources map[schema.GroupVersionResource]*resource
	run       bool      // Run was called
	stopped   bool      // the context of Run has ended
	spawn     spawnFunc // nil unless Run is running
}

// spawnFunc runs a loop as part of Run: until cancel is called or the context of
// Run ends. Run waits for it, and fails if it fails.
type spawnFunc func(loop func(ctx context.Context) error) (cancel context.CancelFunc)

// New returns a Set that watches nothing yet. The discovery client must not cache.
// It fails on options that are not allowed.
func New(client Client, discovery Discovery, o Options) (*Set, error) {
	if client == nil || discovery == nil {
		return nil, errors.New("informers: a client and a discovery client are needed")
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Set{
		client:    client,
		options:   o,
		catalog:   newCatalog(discovery, o),
		resources: map[schema.GroupVersionResource]*resource{},
	}, nil
}

// Watch returns a new reference to the informer of a type and makes the type be
// watched, from the moment Run is called, if it is not being watched yet. The
// caller has to call Release on it when done. After Run has returned the Informer is
// [Stopped] from the start.
func (s *Set) Watch(gvr schema.GroupVersionResource) *Informer {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.resources[gvr]
	if !ok {
		r = newResource(gvr, s.client, s.catalog, s.options)
		s.resources[gvr] = r
		switch {
		case s.stopped:
			r.end(ErrStopped)
		case s.spawn != nil:
			r.cancel = s.spawn(r.run)
		}
	}
	r.refs++
	return &Informer{set: s, resource: r}
}

// release gives one reference back.
func (s *Set) release(r *resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.refs--
	if r.refs > 0 {
		return
	}
	delete(s.resources, r.gvr)
	r.end(ErrReleased)
	if r.cancel != nil {
		r.cancel()
	}
}

// Run watches what is to be watched until ctx ends, then returns nil once
// everything it started has ended: handlers that are being called have to
// return for that. It may be called once, else it returns [ErrAlreadyRun].
func (s *Set) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	err := s.start(func(loop func(context.Context) error) context.CancelFunc {
		loopCtx, cancel := context.WithCancel(ctx)
		group.Go(func() error {
			defer cancel()
			return loop(loopCtx)
		})
		return cancel
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	s.stop()
	return group.Wait()
}

func (s *Set) start(spawn spawnFunc) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run {
		return ErrAlreadyRun
	}
	s.run = true
	s.spawn, s.catalog.spawn = spawn, spawn
	for _, r := range s.resources {
		r.cancel = spawn(r.run)
	}
	return nil
}

// stop makes Watch spawn nothing more, so that Run can wait for what there is.
func (s *Set) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped, s.spawn = true, nil
	for _, r := range s.resources {
		r.end(ErrStopped)
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// source lists and watches for a client-go informer and reports the outcome of
// every request. The informer itself tells only about some failures: it retries
// a refused connection without a word.
type source struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
	// report gets "list" or "watch" and the request's error, nil if it
	// succeeded. It is not called once the informer's context has ended.
	report func(verb string, err error)

	mu    sync.Mutex
	over  bool           // no list begins any more
	lists sync.WaitGroup // those under way
}

// listerWatcher is the source as client-go's informers want it. The client tells
// whether it can stream lists (the fakes cannot).
func (s *source) listerWatcher(client any) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc:  s.listOnce,
		WatchFuncWithContext: s.watchOnce,
	}, client)
}

func (s *source) listOnce(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	if !s.beginList() {
		return nil, context.Canceled
	}
	defer s.lists.Done()
	var list runtime.Object
	err := s.persist(ctx, "list", func() (err error) {
		list, err = s.list(ctx, opts)
		return err
	})
	return list, err
}

func (s *source) watchOnce(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	var w watch.Interface
	err := s.persist(ctx, "watch", func() (err error) {
		w, err = s.watch(ctx, opts)
		return err
	})
	if err != nil && opts.SendInitialEvents != nil && sleepsThrough(err) {
		return nil, errors.New("start a streaming list: " + err.Error())
	}
	return w, err
}

const (
	minOutagePause = 100 * time.Millisecond
	// maxOutagePause bounds how long a replica goes on without seeing anything
	// once an outage is over, give or take half: it may hold shards meanwhile.
	maxOutagePause = 2 * time.Second
)

// persist repeats a request while the API server cannot be reached, or says that
// it is too busy. The reflector would do so too, but its back-off grows to a
// minute and forgets an outage only after two without one.
func (s *source) persist(ctx context.Context, verb string, request func() error) error {
	for pause := minOutagePause; ; pause = min(2*pause, maxOutagePause) {
		err := request()
		s.outcome(ctx, verb, err)
		if err == nil || !outage(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return err
		}
	}
}

// outage tells an error that says nothing about the request itself: there was no
// answer, or one that asks to come again.
func outage(err error) bool {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err)
	}
	return true
}

// sleepsThrough reports whether the reflector answers this error of a streaming
// list with a sleep of up to a minute that does not end with the context, which
// would keep Run from returning. Hidden from it, the error makes it try a plain
// list instead, and back off from that one's failure in the normal way.
func sleepsThrough(err error) bool {
	return utilnet.IsConnectionRefused(err) || apierrors.IsTooManyRequests(err)
}

func (s *source) outcome(ctx context.Context, verb string, err error) {
	switch {
	case ctx.Err() != nil:
		// Stopping says nothing about the API server.
	case apierrors.IsResourceExpired(err):
		// The reflector lists anew.
	default:
		s.report(verb, err)
	}
}

// run runs the informer of the source until ctx ends and neither it nor a request is
// left. client-go's notes on every watch that ends go to verbosity 2: what
// matters of it is reported.
func (s *source) run(ctx context.Context, informer cache.SharedIndexInformer) {
	informer.RunWithContext(klog.NewContext(ctx, klog.FromContext(ctx).V(2)))
	// The reflector leaves a list behind, in a goroutine, when its context ends.
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.lists.Wait()
}

func (s *source) beginList() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.lists.Add(1)
	return true
}

// quietly replaces client-go's watch error handler, which logs each failed
// attempt as an error: the source has reported it already.
func quietly(ctx context.Context, r *cache.Reflector, err error) {
	klog.FromContext(ctx).Info("List and watch ended", "type", r.TypeDescription(), "reason", err)
}

// newInformer makes a client-go informer on a source. The setters fail only on
// an informer that has started.
func newInformer(
	s *source, client any, example runtime.Object, description string,
	transform cache.TransformFunc, indexers cache.Indexers,
) (cache.SharedIndexInformer, error) {
	informer := cache.NewSharedIndexInformerWithOptions(s.listerWatcher(client), example, cache.SharedIndexInformerOptions{
		Indexers:          indexers,
		ObjectDescription: description,
	})
	if err := informer.SetTransform(transform); err != nil {
		return nil, fmt.Errorf("set the transform of %s: %w", description, err)
	}
	if err := informer.SetWatchErrorHandlerWithContext(quietly); err != nil {
		return nil, fmt.Errorf("set the watch error handler of %s: %w", description, err)
	}
	return informer, nil
}

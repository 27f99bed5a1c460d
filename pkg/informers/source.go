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

	// indexer is the informer's cache, and example an object of the type it is for.
	indexer cache.Indexer
	example runtime.Object

	mu           sync.Mutex
	over         bool           // nothing begins any more
	underway     sync.WaitGroup // lists and streams
	trusted      bool           // a request has succeeded, and refusals since then were not for long
	refusedSince time.Time      // when they began; zero if there were none
	pace         time.Duration  // pause after the next stream that ends early
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
	if !s.begin() {
		return nil, context.Canceled
	}
	defer s.underway.Done()
	var list runtime.Object
	err := s.persist(ctx, "list", patient, func() (err error) {
		list, err = s.list(ctx, opts)
		return err
	})
	return list, err
}

func (s *source) watchOnce(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	var w watch.Interface
	whenRefused := patient
	if opts.SendInitialEvents != nil {
		whenRefused = hasty // a plain list is tried instead, at once
	}
	err := s.persist(ctx, "watch", whenRefused, func() (err error) {
		w, err = s.watch(ctx, opts)
		return err
	})
	if err != nil {
		if opts.SendInitialEvents != nil && sleepsThrough(err) {
			err = errors.New("start a streaming list: " + err.Error())
		}
		return nil, err
	}
	return s.newStream(ctx, w, opts), nil
}

const (
	minOutagePause = 100 * time.Millisecond
	// maxOutagePause bounds how long a replica goes on without seeing anything
	// once an outage is over, give or take half: it may hold shards meanwhile.
	maxOutagePause = 2 * time.Second
	// refusedPatience is how long refusals are taken for those of an API server that
	// has only just started. They are the reflector's after that.
	refusedPatience = 10 * time.Second
)

// whenRefused says what becomes of a request that an API server refuses which may
// have only just started.
type whenRefused bool

const (
	patient whenRefused = true  // it is repeated for a while
	hasty   whenRefused = false // it has failed
)

// persist repeats a request while the API server cannot be reached, says that it
// is too busy, or seems not to be ready. The reflector would do so too, but its
// back-off grows to a minute and forgets an outage only after two without one.
func (s *source) persist(ctx context.Context, verb string, refused whenRefused, request func() error) error {
	for pause := minOutagePause; ; pause = min(2*pause, maxOutagePause) {
		err := request()
		s.outcome(ctx, verb, err)
		again := s.notReady(err) && refused == patient || outage(err)
		if !again || !sleep(ctx, jittered(pause)) {
			return err
		}
	}
}

// jittered is d, give or take half.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// notReady tells a refusal that may be that of an API server that has only just
// started: it does not know the roles yet, or does not reach what it needs. Only
// those of the first while after a success count: what is refused for good is not
// to be asked for all the time.
func (s *source) notReady(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.trusted, s.refusedSince = true, time.Time{}
		return false
	case !s.trusted || !refusedByStarting(err):
		return false
	case s.refusedSince.IsZero():
		s.refusedSince = time.Now()
	}
	s.trusted = time.Since(s.refusedSince) < refusedPatience
	return s.trusted
}

func refusedByStarting(err error) bool {
	switch {
	case apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge):
		return false // the reflector lists anew
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return true
	}
	return apierrors.IsInternalError(err) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err)
}

// outage tells an error that says nothing about the request itself: there was no
// answer, or one that asks to come again. An answer that makes no sense will not make more in a
// moment: that is the reflector's.
func outage(err error) bool {
	if err == nil || errors.Is(err, errUndecodable) {
		return false
	}
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
	s.underway.Wait()
}

// begin is false once nothing is to begin any more. Else underway.Done says that
// it has ended.
func (s *source) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.underway.Add(1)
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
	s.indexer, s.example = informer.GetIndexer(), example
	return informer, nil
}

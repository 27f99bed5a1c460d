// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// settling is how long after a lost connection the heartbeats of the meantime take
// to come in.
const settling = 2 * time.Second

// reconnect spaces the attempts to reach an API server.
var reconnect = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Steps: 10, Cap: 2 * time.Second, Jitter: 0.5}

// follower keeps a copy of a group's Leases up to date; it is what a reflector of
// client-go stores into.
type follower struct {
	group *group
	// changed holds one: there is something to look at.
	changed chan struct{}

	mu      sync.Mutex // guards all below
	leases  map[string]*coordinationv1.Lease
	listed  bool // once
	watched bool // once
	refused error
	// lost is why the API server cannot be reached, since lostAt; nil while it can,
	// again since foundAt.
	lost            error
	lostAt, foundAt time.Time
}

// reflect runs until the context ends.
func (f *follower) reflect(ctx context.Context) {
	// What it has to say of lost connections is said by the commands, not by a log
	// that would run over the screen.
	ctx = klog.NewContext(ctx, logr.Discard())
	selector := lease.LabelGroup + "=" + f.group.name
	lw := plainLists{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			opts.LabelSelector = selector
			if opts.ResourceVersion == "0" {
				opts.ResourceVersion = "" // not older than what the command itself has written
			}
			list, err := f.group.leases.List(ctx, opts)
			if err != nil {
				f.asked(ctx, err) // once listed, it has yet to be watched
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.LabelSelector = selector
			w, err := f.group.leases.Watch(ctx, opts)
			f.asked(ctx, err)
			return w, err
		},
	}}
	cache.NewReflectorWithOptions(lw, &coordinationv1.Lease{}, f, cache.ReflectorOptions{
		Name: "leases", Logger: ptr.To(logr.Discard()), Backoff: &reconnect,
	}).RunWithContext(ctx)
}

// plainLists keeps the reflector from streaming lists: it answers a connection
// that is refused to that with a sleep that does not end with the context.
type plainLists struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is what the reflector asks.
func (plainLists) IsWatchListSemanticsUnSupported() bool { return true }

// asked takes in how a request ended: a list that failed, or any watch.
func (f *follower) asked(ctx context.Context, err error) {
	if ctx.Err() != nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return // that says nothing about the connection
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case apierrors.IsForbidden(err) && !f.watched:
		// Later a refusal can pass: an API server that starts refuses everybody.
		f.refused = fmt.Errorf("watching the Leases of namespace %s: %w", f.group.namespace, err)
		f.wake()
	case err != nil && f.lost == nil:
		// Lost once more before all was seen again: the time goes on to stand still.
		if now := time.Now(); now.Sub(f.foundAt) > settling {
			f.lostAt = now
		}
		f.wake()
	case err == nil && f.lost != nil:
		f.foundAt = time.Now()
		f.wake()
	}
	f.watched = f.watched || err == nil
	f.lost = err
}

// wake has the group looked at. It never blocks.
func (f *follower) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Replace is called by the reflector with a list.
func (f *follower) Replace(list []any, _ string) error {
	leases := make(map[string]*coordinationv1.Lease, len(list))
	for _, item := range list {
		l, err := asLease(item)
		if err != nil {
			return err
		}
		leases[l.Name] = l
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leases, f.listed = leases, true
	f.wake()
	return nil
}

// Add is called by the reflector with what is new.
func (f *follower) Add(object any) error { return f.Update(object) }

// Update is called by the reflector with what has changed.
func (f *follower) Update(object any) error {
	l, err := asLease(object)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if was := f.leases[l.Name]; was == nil || !onlyRenewed(was, l) {
		f.wake()
	}
	f.leases[l.Name] = l
	return nil
}

// Delete is called by the reflector with what is gone.
func (f *follower) Delete(object any) error {
	l, err := asLease(object)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.leases, l.Name)
	f.wake()
	return nil
}

// Resync is never asked for.
func (f *follower) Resync() error { return nil }

func asLease(object any) (*coordinationv1.Lease, error) {
	l, ok := object.(*coordinationv1.Lease)
	if !ok {
		return nil, fmt.Errorf("watching Leases: got a %T", object)
	}
	return l, nil
}

// onlyRenewed tells whether a Lease has changed by a heartbeat alone: a group of
// many members is not looked at anew for each.
func onlyRenewed(was, l *coordinationv1.Lease) bool {
	spec := l.Spec
	spec.RenewTime = was.Spec.RenewTime
	annotations := maps.Clone(l.Annotations)
	if attempt, ok := was.Annotations[lease.AnnotationAttempt]; ok && annotations != nil {
		annotations[lease.AnnotationAttempt] = attempt
	}
	return equality.Semantic.DeepEqual(spec, was.Spec) && maps.Equal(annotations, was.Annotations) && maps.Equal(l.Labels, was.Labels)
}

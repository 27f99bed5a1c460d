// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// Informer is one consumer's reference to the shared informer of a type. Its
// methods may be called from several goroutines and from within handlers, except
// WaitSynced, which must not be called from within a handler: it would wait for
// itself.
type Informer struct {
	set      *Set
	resource *resource
	released atomic.Bool
}

// Release removes the handlers that were added through this Informer and gives
// the reference back; the last one of a type stops its watch. It does not wait for
// either: a handler call that is under way may go on. Further calls do nothing. What the
// Informer answers afterwards is not kept up to date.
func (i *Informer) Release() {
	if i.released.Swap(true) {
		return
	}
	i.resource.removeHandlers(func(h *handler) bool { return h.owner == i })
	i.set.release(i.resource)
}

// AddHandler makes h be told of every object, now and from now on: existing
// objects are delivered as adds. It may be called before the type is served
// and before Run; h stays when the type goes (see the package documentation)
// and comes back. Calls to h come one at a time. They should return soon: what
// waits for a slow handler is queued without limit.
//
// remove ends that. A call that is under way may go on; no other is begun. It
// may be called more than once and from within h.
//
// The error is [ErrReleased] or [ErrStopped], or that h is nil.
func (i *Informer) AddHandler(h cache.ResourceEventHandler) (remove func(), err error) {
	if h == nil {
		return nil, errors.New("informers: AddHandler: the handler is nil")
	}
	added := newHandler(i, h)
	if err := i.resource.addHandler(added); err != nil {
		return nil, err
	}
	return func() {
		i.resource.removeHandlers(func(h *handler) bool { return h == added })
	}, nil
}

// Synced reports whether the whole initial list is in the cache and has been
// delivered to every handler that was added through this Informer. It is false again
// while the type is missing, and stays true when only the watch fails.
func (i *Informer) Synced() bool {
	i.resource.mu.Lock()
	defer i.resource.mu.Unlock()
	synced, _ := i.resource.progress(i)
	return synced
}

// WaitSynced returns nil as soon as the Informer is synced. It returns an error that
// names the type and its state, and wraps the cause of ctx's end, [ErrReleased] or
// [ErrStopped], when that comes first. A type that is missing or failing is waited for.
func (i *Informer) WaitSynced(ctx context.Context) error {
	r := i.resource
	for {
		r.mu.Lock()
		synced, next := r.progress(i)
		changed, state := r.changed, r.state(i)
		r.mu.Unlock()
		switch {
		case synced:
			return nil
		case state.Phase == Stopped:
			return fmt.Errorf("wait until %s is synced: %w", typeName(r.gvr), state.Err)
		}
		select {
		case <-next:
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s is synced (%s): %w", typeName(r.gvr), i.State(), context.Cause(ctx))
		}
	}
}

// State returns how far the Informer is, with the reason if it is not synced.
func (i *Informer) State() State {
	i.resource.mu.Lock()
	defer i.resource.mu.Unlock()
	return i.resource.state(i)
}

// Resource returns the type as it was given to Watch.
func (i *Informer) Resource() schema.GroupVersionResource { return i.resource.gvr }

// Kind returns the type's kind; ok is false until the type was served once.
func (i *Informer) Kind() (gvk schema.GroupVersionKind, ok bool) {
	r := i.resource
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.api == nil {
		return schema.GroupVersionKind{}, false
	}
	return r.gvr.GroupVersion().WithKind(r.api.Kind), true
}

// Namespaced reports whether the type's objects live in namespaces. It means
// nothing until Kind is known.
func (i *Informer) Namespaced() bool {
	r := i.resource
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.api != nil && r.api.Namespaced
}

// addHandler registers h with the current informer, if there is one, and with
// all later ones.
func (r *resource) addHandler(h *handler) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state := r.state(h.owner); state.Phase == Stopped {
		return fmt.Errorf("add a handler to %s: %w", typeName(r.gvr), state.Err)
	}
	if r.current != nil {
		if err := h.register(r.current); err != nil {
			return err
		}
	}
	r.handlers = append(r.handlers, h)
	r.broadcast()
	return nil
}

func (r *resource) removeHandlers(which func(*handler) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handlers = slices.DeleteFunc(r.handlers, func(h *handler) bool {
		if !which(h) {
			return false
		}
		h.unregister(r.current)
		return true
	})
	r.broadcast()
}

// progress reports whether i is synced and, if it is not but its type is served,
// what to wait for next; r.mu is held.
func (r *resource) progress(i *Informer) (synced bool, next <-chan struct{}) {
	if r.current == nil || i.released.Load() {
		return false, nil
	}
	if checker := r.current.informer.HasSyncedChecker(); !cache.IsDone(checker) {
		return false, checker.Done()
	}
	for _, h := range r.handlers {
		if h.owner != i {
			continue
		}
		if checker := h.registration.HasSyncedChecker(); !cache.IsDone(checker) {
			return false, checker.Done()
		}
	}
	return true, nil
}

// state is State with r.mu held.
func (r *resource) state(i *Informer) State {
	switch {
	case i.released.Load():
		return State{Phase: Stopped, Err: ErrReleased}
	case r.ended != nil:
		return State{Phase: Stopped, Err: r.ended}
	case r.failure != nil:
		return State{Phase: Failing, Err: r.failure}
	case r.current == nil:
		return State{Phase: Missing, Err: r.absence}
	}
	if synced, _ := r.progress(i); !synced {
		return State{Phase: Syncing}
	}
	return State{Phase: Synced}
}

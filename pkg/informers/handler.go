// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"fmt"
	"sync/atomic"

	"k8s.io/client-go/tools/cache"
)

// handler stands between the client-go informers of a type, which come and go
// with the type, and one consumer's event handler, which stays. It remembers
// what the consumer has been told exists. client-go cannot say: an informer that
// stops drops the notifications that are still queued.
type handler struct {
	owner *Informer
	to    cache.ResourceEventHandler

	// registration is the one with the current informer, nil if there is none.
	// Guarded by resource.mu.
	registration cache.ResourceEventHandlerRegistration

	// removed makes calls stop that client-go has already committed to.
	removed atomic.Bool

	// known needs no lock: one client-go informer calls at a time, in one goroutine,
	// and vanish runs between two of them.
	known map[cache.ObjectName]any
}

func newHandler(owner *Informer, to cache.ResourceEventHandler) *handler {
	return &handler{owner: owner, to: to, known: map[cache.ObjectName]any{}}
}

// register adds the handler to the informer of a serving; resource.mu is held.
func (h *handler) register(sv *serving) error {
	registration, err := sv.informer.AddEventHandler(h)
	if err != nil {
		return fmt.Errorf("add a handler to an informer: %w", err)
	}
	h.registration = registration
	return nil
}

// unregister takes the handler from its informer, if sv is running it;
// resource.mu is held.
func (h *handler) unregister(sv *serving) {
	h.removed.Store(true)
	if sv == nil || h.registration == nil {
		return
	}
	// Fails only for a registration that is not client-go's own.
	_ = sv.informer.RemoveEventHandler(h.registration)
	h.registration = nil
}

// OnAdd implements [cache.ResourceEventHandler].
func (h *handler) OnAdd(obj any, inInitialList bool) {
	if h.removed.Load() {
		return
	}
	h.remember(obj)
	h.to.OnAdd(obj, inInitialList)
}

// OnUpdate implements [cache.ResourceEventHandler].
func (h *handler) OnUpdate(old, obj any) {
	if h.removed.Load() {
		return
	}
	h.remember(obj)
	h.to.OnUpdate(old, obj)
}

// OnDelete implements [cache.ResourceEventHandler].
func (h *handler) OnDelete(obj any) {
	if h.removed.Load() {
		return
	}
	if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
		delete(h.known, name)
	}
	h.to.OnDelete(obj)
}

// remember keeps the newest version only: an older one would hold on to memory
// that the cache has let go. What has no metadata is not remembered, but no such
// object gets into a cache.
func (h *handler) remember(obj any) {
	if name, err := cache.ObjectToName(obj); err == nil {
		h.known[name] = obj
	}
}

// vanish delivers a delete for everything the consumer still believes to exist.
// It must not be called while an informer may call the handler.
func (h *handler) vanish(ctx context.Context) {
	for name, obj := range h.known {
		if ctx.Err() != nil || h.removed.Load() {
			return
		}
		delete(h.known, name)
		h.to.OnDelete(cache.DeletedFinalStateUnknown{Key: name.String(), Obj: obj})
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/internal/hook"
)

// ErrNotSynced is in the chain of Sync's error if a cache that it reads has not synced. No hook was called.
var ErrNotSynced = errors.New("a cache has not synced yet")

// recheckGone is when a parent is looked at again that a write has not found. Mostly it was deleted, and the
// cache shows that by then; but a status subresource that has just been taken away gives the same error.
const recheckGone = time.Second

// Sync reconciles one parent: it reads the parent and its attachments from the caches, calls the hook, and
// carries out its answer. A parent that does not exist or does not match is not an error.
//
// Without error, the parent is to be synced again after the duration, though nothing changes; 0 means that
// it need not be. With an error it is to be synced again soon, with back-off; but if the duration is not 0,
// the hook asked for that much rest, and is to be called again after it and not earlier.
//
// ctx is the term's: when it ends, the hook is abandoned, nothing more is written, and its cause is in the
// chain of the error.
func (c *Controller) Sync(ctx context.Context, gvr schema.GroupVersionResource, namespace, name string) (time.Duration, error) {
	p := c.parents[gvr]
	if p == nil {
		return 0, fmt.Errorf("decorator %s does not decorate %s", c.document.Name(), gvr.GroupResource())
	}
	if !c.Synced(gvr) {
		return 0, fmt.Errorf("decorator %s: %w", c.document.Name(), ErrNotSynced)
	}
	cached, exists := p.cache.Get(namespace, name)
	if !exists || !c.Matches(gvr, cached) {
		return 0, nil
	}
	parent, err := cached.Decode()
	if err != nil {
		return 0, fmt.Errorf("decorator %s: %w", c.document.Name(), err)
	}
	again, err := c.syncParent(ctx, p, parent)
	if errors.Is(err, errGone) {
		return recheckGone, nil
	}
	if err != nil {
		err = bounded(fmt.Errorf("decorator %s: %w", c.document.Name(), err))
	}
	return again, err
}

func (c *Controller) syncParent(ctx context.Context, p *parentType, parent *unstructured.Unstructured) (time.Duration, error) {
	parent, err := c.ensureFinalizer(ctx, p, parent)
	if err != nil {
		return 0, err
	}
	if !c.Matches(p.gvr, parent) {
		return 0, nil // a finalizer was left of it, and that is gone now
	}
	observed, err := c.observe(parent)
	if err != nil {
		return 0, err
	}
	finalizing := c.finalize != nil && (parent.GetDeletionTimestamp() != nil || !p.selects(parent))
	a, err := c.call(ctx, parent, observed, finalizing)
	if err != nil {
		return restAsked(err), err
	}
	desired, err := c.check(parent, a)
	if err != nil {
		return 0, err
	}
	current, err := c.decorate(ctx, p, parent, a)
	if err != nil {
		return 0, err
	}
	if c.managesAttachments(parent) {
		if err := c.reconcile(ctx, parent, observed, desired); err != nil {
			return 0, err
		}
	}
	if finalizing && a.Finalized && slices.Contains(current.GetFinalizers(), c.finalizer) {
		_, err := c.removeFinalizer(ctx, p, current)
		return 0, err
	}
	return sooner(c.document.Spec.ResyncPeriod(), a.resyncAfter()), nil
}

// call asks the hook. The answer is dropped if the term has ended meanwhile.
func (c *Controller) call(ctx context.Context, parent *unstructured.Unstructured, observed []*attachment, finalizing bool) (*answer, error) {
	name, caller := "sync", c.sync
	if finalizing {
		name, caller = "finalize", c.finalize
	}
	if err := alive(ctx); err != nil {
		return nil, err
	}
	var a answer
	if err := caller.Call(ctx, c.request(parent, observed, finalizing), &a); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := alive(ctx); err != nil {
		return nil, fmt.Errorf("the answer of the %s hook was dropped: %w", name, err)
	}
	return &a, nil
}

// managesAttachments tells whether parent's attachments are ours to change: while it lives, and while it is
// being deleted and waits for us. Where the garbage collector is already at work on its dependents, they
// are left to it.
func (c *Controller) managesAttachments(parent *unstructured.Unstructured) bool {
	if parent.GetDeletionTimestamp() == nil {
		return true
	}
	finalizers := parent.GetFinalizers()
	return c.finalize != nil && slices.Contains(finalizers, c.finalizer) &&
		!slices.Contains(finalizers, metav1.FinalizerDeleteDependents) && !slices.Contains(finalizers, metav1.FinalizerOrphanDependents)
}

// restAsked returns how long the hook that failed with err wants to be left alone.
func restAsked(err error) time.Duration {
	if failure, ok := errors.AsType[*hook.Error](err); ok {
		return failure.RetryAfter()
	}
	return 0
}

// sooner returns the shorter of two waits, of which 0 means none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// fieldManager is the name under which the API server notes our writes to parents. Those to attachments have
// another, by which its fence tells the two apart where a type is both.
const fieldManager = "shardctl"

// errGone says that a write did not find the parent: it was deleted under the sync.
var errGone = errors.New("the object is gone")

// writeParent sends a changed parent, or only the named subresource of it. It carries the resourceVersion
// it was read at: if it has changed since, the write fails with a conflict, and the sync is done again from
// what it is then.
func (c *Controller) writeParent(ctx context.Context, p *parentType, parent *unstructured.Unstructured, subresource ...string) (*unstructured.Unstructured, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	client := c.clientIn(p.gvr, parent.GetNamespace())
	written, err := client.Update(ctx, parent, metav1.UpdateOptions{FieldManager: fieldManager}, subresource...)
	switch {
	case err == nil:
		// Hooks get to see the object without, as it is in the cache.
		unstructured.RemoveNestedField(written.Object, "metadata", "managedFields")
		return written, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case apierrors.IsNotFound(err):
		return nil, errGone
	default:
		return nil, fmt.Errorf("updating %s %s: %w", parent.GetKind(), parent.GetName(), err)
	}
}

// ensureFinalizer puts the finalizer on a parent before anything else is done for it, so that what is done
// can be undone; it removes one that is left from a finalize hook that the document no longer has.
func (c *Controller) ensureFinalizer(ctx context.Context, p *parentType, parent *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	has := slices.Contains(parent.GetFinalizers(), c.finalizer)
	switch {
	case c.finalize == nil && has:
		return c.removeFinalizer(ctx, p, parent)
	case c.finalize != nil && !has && parent.GetDeletionTimestamp() == nil:
		next := parent.DeepCopy()
		next.SetFinalizers(append(next.GetFinalizers(), c.finalizer))
		return c.writeParent(ctx, p, next)
	default:
		return parent, nil
	}
}

func (c *Controller) removeFinalizer(ctx context.Context, p *parentType, parent *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	next := parent.DeepCopy()
	next.SetFinalizers(slices.DeleteFunc(next.GetFinalizers(), func(f string) bool { return f == c.finalizer }))
	return c.writeParent(ctx, p, next)
}

// decorate makes labels, annotations and status of a parent what the hook wants.
func (c *Controller) decorate(ctx context.Context, p *parentType, parent *unstructured.Unstructured, a *answer) (*unstructured.Unstructured, error) {
	labels, labelsChange := withWishes(parent.GetLabels(), a.Labels)
	annotations, annotationsChange := withWishes(parent.GetAnnotations(), a.Annotations)
	statusChanges := a.Status != nil && !sameStatus(parent.Object["status"], a.Status)
	if !labelsChange && !annotationsChange && !statusChanges {
		return parent, nil
	}
	next := parent.DeepCopy()
	viaSubresource := false
	if statusChanges {
		next.Object["status"] = runtime.DeepCopyJSON(a.Status)
		var err error
		if viaSubresource, err = c.hasStatus(ctx, p.gvr); err != nil {
			return nil, fmt.Errorf("looking whether %s has a status subresource: %w", p.gvr.GroupResource(), err)
		}
	}
	if viaSubresource {
		var err error
		if next, err = c.writeParent(ctx, p, next, "status"); err != nil {
			return nil, err
		}
	}
	if labelsChange || annotationsChange || (statusChanges && !viaSubresource) {
		next.SetLabels(labels)
		next.SetAnnotations(annotations)
		return c.writeParent(ctx, p, next)
	}
	return next, nil
}

// withWishes returns values with the wishes of an answer carried out, and whether that made a difference.
func withWishes(values map[string]string, wishes map[string]*string) (map[string]string, bool) {
	next := maps.Clone(values)
	if next == nil {
		next = map[string]string{}
	}
	for k, v := range wishes {
		if v == nil {
			delete(next, k)
		} else {
			next[k] = *v
		}
	}
	return next, !maps.Equal(values, next)
}

// sameStatus compares a parent's status, which may be missing, with the one that a hook wants. An empty
// one is the same as none: the API server drops it.
func sameStatus(is any, wanted map[string]any) bool {
	status, _ := is.(map[string]any)
	if len(status) == 0 && len(wanted) == 0 {
		return true
	}
	return reflect.DeepEqual(canonical(status), canonical(wanted))
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/pkg/fence"
)

const (
	// maxAttachmentErrors bounds how many failed attachments an error lists.
	maxAttachmentErrors = 5
)

// ErrNotOurs is in the chain of the error for an attachment that cannot be made because an object of its
// name exists that this decorator did not create for this parent. That object is left alone.
var ErrNotOurs = errors.New("exists and is not this decorator's")

// attachment is one object of a parent: as it is, as it should be, or both.
type attachment struct {
	typ             *attachmentType
	namespace, name string
	observed        *unstructured.Unstructured // nil if there is none
	desired         map[string]any             // nil if the hook does not want it
}

type attachmentKey struct {
	gvr             schema.GroupVersionResource
	namespace, name string
}

func (a *attachment) key() attachmentKey { return attachmentKey{a.typ.gvr, a.namespace, a.name} }

func (a *attachment) String() string {
	name := a.name
	if a.namespace != "" {
		name = a.namespace + "/" + name
	}
	return a.typ.kind().Kind + " " + name
}

func (c *Controller) clientFor(a *attachment) dynamic.ResourceInterface {
	return c.clientIn(a.typ.gvr, a.namespace)
}

// observe returns what this decorator has attached to parent, those that are being deleted included.
func (c *Controller) observe(parent *unstructured.Unstructured) ([]*attachment, error) {
	var out []*attachment
	home := parent.GetNamespace()
	for _, typ := range c.attachments {
		for _, obj := range typ.cache.OwnedBy(parent.GetUID()) {
			// A reference from another namespace is none: the garbage collector does not follow it either.
			if !c.owns(parent, obj) || home != "" && obj.GetNamespace() != home {
				continue
			}
			observed, err := obj.Decode()
			if err != nil {
				return nil, err
			}
			out = append(out, &attachment{typ: typ, namespace: obj.GetNamespace(), name: obj.GetName(), observed: observed})
		}
	}
	return out, nil
}

// reconcile brings the attachments of parent from observed to desired: first it deletes those that are not
// desired. One that fails does not hold up the others; the end of ctx does.
func (c *Controller) reconcile(ctx context.Context, parent *unstructured.Unstructured, observed, desired []*attachment) error {
	wanted := make(map[attachmentKey]*attachment, len(desired))
	for _, d := range desired {
		wanted[d.key()] = d
	}
	var steps []func() error
	for _, o := range observed {
		if d := wanted[o.key()]; d != nil {
			d.observed = o.observed
		} else if o.observed.GetDeletionTimestamp() == nil {
			steps = append(steps, func() error { return c.delete(ctx, o) })
		}
	}
	for _, d := range desired {
		if d.observed != nil {
			steps = append(steps, func() error { return c.update(ctx, d) })
		} else {
			steps = append(steps, func() error { return c.create(ctx, parent, d) })
		}
	}
	var errs []error
	for _, step := range steps {
		if err := step(); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			errs = append(errs, err)
		}
	}
	if excess := len(errs) - maxAttachmentErrors; excess > 0 {
		errs = append(errs[:maxAttachmentErrors], fmt.Errorf("and %d more", excess))
	}
	return errors.Join(errs...)
}

func (c *Controller) create(ctx context.Context, parent *unstructured.Unstructured, a *attachment) error {
	if obj, exists := a.typ.cache.Get(a.namespace, a.name); exists {
		return c.inTheWay(parent, a, obj)
	}
	object := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(a.desired)}
	if err := setLastApplied(object.Object, a.desired); err != nil {
		return fmt.Errorf("creating %s: %w", a, err)
	}
	metadata := childOf(object.Object, "metadata")
	refs, _ := metadata["ownerReferences"].([]any)
	metadata["ownerReferences"] = withOwner(refs, controllerReference(parent))
	object.SetNamespace(a.namespace)

	if err := alive(ctx); err != nil {
		return err
	}
	_, err := c.clientFor(a).Create(ctx, object, metav1.CreateOptions{FieldManager: fence.AttachmentManager})
	switch {
	case apierrors.IsAlreadyExists(err):
		obj, err := c.clientFor(a).Get(ctx, a.name, metav1.GetOptions{}) // the cache does not have it yet
		if err != nil {
			return fmt.Errorf("reading %s, which is in the way: %w", a, err)
		}
		return c.inTheWay(parent, a, obj)
	case apierrors.IsNotFound(err): // its namespace: that is not gone, it was never there
		return fmt.Errorf("creating %s: %w", a, err)
	default:
		return done(ctx, a, "creating", err)
	}
}

// inTheWay judges an object that is there though this sync has not observed it. If it is ours, the sync
// before this one has created it, and the event of that comes, or came while the hook was at work: then all
// is well, for the event brings a sync.
func (c *Controller) inTheWay(parent *unstructured.Unstructured, a *attachment, obj Metadata) error {
	if c.owns(parent, obj) {
		return nil
	}
	owner := "nothing"
	if ref := controllerOf(obj); ref != nil {
		owner = ref.Kind + " " + ref.Name
	}
	return fmt.Errorf("creating %s: it %w (it is controlled by %s): delete it, or have the hook use another name", a, ErrNotOurs, owner)
}

func (c *Controller) update(ctx context.Context, a *attachment) error {
	next, changed, err := apply(a.observed.Object, a.desired)
	if err != nil {
		return fmt.Errorf("updating %s: %w", a, err)
	}
	if !changed || a.observed.GetDeletionTimestamp() != nil {
		return nil
	}
	switch a.typ.method {
	case InPlace:
		if err := alive(ctx); err != nil {
			return err
		}
		object := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(next)}
		_, err := c.clientFor(a).Update(ctx, object, metav1.UpdateOptions{FieldManager: fence.AttachmentManager})
		return done(ctx, a, "updating", err)
	case Recreate:
		return c.delete(ctx, a) // its going brings the sync that creates it anew
	default:
		return nil
	}
}

func (c *Controller) delete(ctx context.Context, a *attachment) error {
	if err := alive(ctx); err != nil {
		return err
	}
	uid, propagation := a.observed.GetUID(), metav1.DeletePropagationBackground
	err := c.clientFor(a).Delete(ctx, a.name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid},
		// Some old types would leave their dependents behind by default.
		PropagationPolicy: &propagation,
	})
	return done(ctx, a, "deleting", err)
}

// done words how a write to an attachment ended. One that is gone is no error: its event brings a sync.
func done(ctx context.Context, a *attachment, what string, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("%s %s: %w", what, a, err)
	}
	klog.FromContext(ctx).V(2).Info("Wrote attachment", "write", what, "attachment", a.String())
	return nil
}

// alive returns why ctx has ended, or nil: nothing is written once the term is over.
func alive(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

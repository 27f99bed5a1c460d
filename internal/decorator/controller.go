// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/shardctl/shardctl/internal/hook"
	"github.com/shardctl/shardctl/pkg/informers"
)

// Metadata is what a Controller asks about an object before it decodes it: an *informers.Object has it, and so
// has an object that is decoded.
type Metadata interface {
	GetNamespace() string
	GetGeneration() int64
	GetLabels() map[string]string
	// GetAnnotations may have to decode them.
	GetAnnotations() map[string]string
	GetFinalizers() []string
	GetOwnerReferences() []metav1.OwnerReference
}

// Cache is what a Controller needs of the cache of one resource type.
type Cache interface {
	// Kind is false as long as the API server does not serve the type.
	Kind() (schema.GroupVersionKind, bool)
	Namespaced() bool
	// Synced is true once the cache holds what a whole list has shown.
	Synced() bool
	Get(namespace, name string) (*informers.Object, bool)
	// OwnedBy returns the objects whose controller has the UID.
	OwnedBy(uid types.UID) []*informers.Object
}

// Options of a Controller. All fields but Finalize are required.
type Options struct {
	// Document says what to decorate.
	Document *Document

	// Client does all writes, and one read: of an object that is in the way of an attachment.
	Client dynamic.Interface

	// HasStatus tells whether a type has the status subresource. It is asked before a status is written.
	HasStatus func(ctx context.Context, resource schema.GroupVersionResource) (bool, error)

	// Parents and Attachments hold a cache for each type of Document.Spec.Resources and .Attachments.
	Parents, Attachments map[schema.GroupVersionResource]Cache

	// Sync is the document's sync hook, Finalize its finalize hook: nil if and only if it has none.
	Sync, Finalize hook.Caller
}

// Controller reconciles the objects that one DecoratorController decorates. Its methods may be called
// concurrently, Sync so for different objects.
type Controller struct {
	document    *Document
	client      dynamic.Interface
	hasStatus   func(context.Context, schema.GroupVersionResource) (bool, error)
	parents     map[schema.GroupVersionResource]*parentType
	attachments []*attachmentType
	sync        hook.Caller
	finalize    hook.Caller
	finalizer   string
}

// parentType is a rule of spec.resources, made ready.
type parentType struct {
	gvr                  schema.GroupVersionResource
	cache                Cache
	labels, annotations  labels.Selector
	ignoresStatusChanges bool
}

// attachmentType is a rule of spec.attachments, made ready.
type attachmentType struct {
	gvr    schema.GroupVersionResource
	cache  Cache
	method UpdateMethod
}

// New returns the controller of a document, or says what the options lack.
func New(o Options) (*Controller, error) {
	switch {
	case o.Document == nil:
		return nil, errors.New("decorator: Options.Document is required")
	case o.Client == nil || o.HasStatus == nil || o.Sync == nil:
		return nil, fmt.Errorf("decorator %s: Options.Client, HasStatus and Sync are required", o.Document.Name())
	case (o.Finalize == nil) != (o.Document.Spec.Hooks.Finalize == nil):
		return nil, fmt.Errorf("decorator %s: Options.Finalize must be set if and only if the document has a finalize hook", o.Document.Name())
	}
	c := &Controller{
		document:  o.Document,
		client:    o.Client,
		hasStatus: o.HasStatus,
		parents:   map[schema.GroupVersionResource]*parentType{},
		sync:      o.Sync,
		finalize:  o.Finalize,
		finalizer: finalizerOf(o.Document.Name()),
	}
	for _, rule := range o.Document.Spec.Resources {
		p, err := newParentType(rule, o.Parents[rule.GVR()])
		if err != nil {
			return nil, fmt.Errorf("decorator %s: %w", o.Document.Name(), err)
		}
		c.parents[p.gvr] = p
	}
	for _, rule := range o.Document.Spec.Attachments {
		cache := o.Attachments[rule.GVR()]
		if cache == nil {
			return nil, fmt.Errorf("decorator %s: Options.Attachments lacks %s", o.Document.Name(), rule.GVR())
		}
		c.attachments = append(c.attachments, &attachmentType{gvr: rule.GVR(), cache: cache, method: rule.UpdateStrategy.Method})
	}
	return c, nil
}

func newParentType(rule ResourceRule, cache Cache) (*parentType, error) {
	if cache == nil {
		return nil, fmt.Errorf("Options.Parents lacks %s", rule.GVR())
	}
	p := &parentType{
		gvr: rule.GVR(), cache: cache,
		labels: labels.Everything(), annotations: labels.Everything(),
		ignoresStatusChanges: rule.IgnoreStatusChanges,
	}
	var err error
	if rule.LabelSelector != nil {
		if p.labels, err = metav1.LabelSelectorAsSelector(rule.LabelSelector); err != nil {
			return nil, fmt.Errorf("label selector of %s: %w", rule.GVR(), err)
		}
	}
	if rule.AnnotationSelector != nil {
		if p.annotations, err = metav1.LabelSelectorAsSelector(rule.AnnotationSelector.asLabelSelector()); err != nil {
			return nil, fmt.Errorf("annotation selector of %s: %w", rule.GVR(), err)
		}
	}
	return p, nil
}

// clientIn returns the client of a type in a namespace, "" for a type that has none.
func (c *Controller) clientIn(gvr schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.client.Resource(gvr)
	}
	return c.client.Resource(gvr).Namespace(namespace)
}

// Synced tells whether every cache that the sync of an object of the type reads has synced. Other types of
// parents do not matter: one that is not served must not hold up the others.
func (c *Controller) Synced(gvr schema.GroupVersionResource) bool {
	p := c.parents[gvr]
	if p == nil || !p.cache.Synced() {
		return false
	}
	for _, a := range c.attachments {
		if _, served := a.cache.Kind(); !served || !a.cache.Synced() {
			return false
		}
	}
	return true
}

// Matches tells whether an object of a type is the controller's to sync: it is selected, or it was and
// still has the finalizer.
func (c *Controller) Matches(gvr schema.GroupVersionResource, obj Metadata) bool {
	p := c.parents[gvr]
	return p != nil && (p.selects(obj) || slices.Contains(obj.GetFinalizers(), c.finalizer))
}

func (p *parentType) selects(obj Metadata) bool {
	return p.labels.Matches(labels.Set(obj.GetLabels())) &&
		(p.annotations.Empty() || p.annotations.Matches(labels.Set(obj.GetAnnotations())))
}

// Concerns tells whether the change of an object from one state to another calls for a sync: it Matches,
// and if its rule ignores status changes, more than the status has changed. What counts for that are
// metadata.generation, labels and annotations, as in metacontroller; but of a type that does not count
// generations (a ConfigMap), every change counts.
func (c *Controller) Concerns(gvr schema.GroupVersionResource, from, to Metadata) bool {
	if !c.Matches(gvr, to) {
		return false
	}
	return !c.parents[gvr].ignoresStatusChanges ||
		to.GetGeneration() == 0 || from.GetGeneration() != to.GetGeneration() ||
		!maps.Equal(from.GetLabels(), to.GetLabels()) || !maps.Equal(from.GetAnnotations(), to.GetAnnotations())
}

// ParentOf names the object that controls an attachment, if it is of a type that is decorated. That object
// need not match, nor exist.
func (c *Controller) ParentOf(attachment Metadata) (gvr schema.GroupVersionResource, namespace, name string, ok bool) {
	owner := controllerOf(attachment)
	if owner == nil {
		return schema.GroupVersionResource{}, "", "", false
	}
	kind := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()
	for _, p := range c.parents {
		// The version may be another one: the owner reference keeps the one that it was made with.
		if served, known := p.cache.Kind(); !known || served.GroupKind() != kind {
			continue
		}
		if p.cache.Namespaced() {
			namespace = attachment.GetNamespace()
		}
		return p.gvr, namespace, owner.Name, true
	}
	return schema.GroupVersionResource{}, "", "", false
}

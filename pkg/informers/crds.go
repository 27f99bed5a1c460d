// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// adjustCRDWatch starts and stops the watch on CRDs; c.mu is held. It runs only while
// a type is absent: what is gone again shows in its own watch.
func (c *catalog) adjustCRDWatch() {
	switch {
	case c.metadata == nil:
	case c.absent > 0 && c.stopCRDWatch == nil:
		c.stopCRDWatch = c.spawn(c.watchCRDs)
	case c.absent == 0 && c.stopCRDWatch != nil:
		c.stopCRDWatch()
		c.stopCRDWatch = nil
		c.crdsWatched = false
	}
}

// watchCRDs wakes the probes of a group whenever one of its CRDs changes, until
// ctx ends. The metadata is enough: each condition that is set (a CRD is
// served once it is Established) changes the resourceVersion.
func (c *catalog) watchCRDs(ctx context.Context) error {
	crds := c.metadata.Resource(crdResource)
	src := &source{
		list: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return crds.List(ctx, opts)
		},
		watch: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return crds.Watch(ctx, opts)
		},
		report: c.crdWatchOutcome,
	}
	informer, err := newInformer(src, c.metadata, &metav1.PartialObjectMetadata{}, typeName(crdResource)+" (metadata)", nameOnly, nil)
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.crdChanged,
		UpdateFunc: func(_, crd any) { c.crdChanged(crd) },
	})
	if err != nil {
		return fmt.Errorf("add a handler for CustomResourceDefinitions: %w", err)
	}
	src.run(ctx, informer)
	return nil
}

// crdWatchOutcome keeps polling fast as long as the watch is not there (it may well be
// forbidden), and looks once more when it is lost.
func (c *catalog) crdWatchOutcome(verb string, err error) {
	c.mu.Lock()
	lost := err != nil && c.crdsWatched
	c.crdsWatched = err == nil && (c.crdsWatched || verb == "watch")
	c.mu.Unlock()
	if lost {
		c.wake(func(schema.GroupVersion) bool { return true })
	}
}

// crdChanged finds the group in the CRD's name, which is <plural>.<group>.
func (c *catalog) crdChanged(obj any) {
	crd, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return
	}
	if _, group, ok := strings.Cut(crd.Name, "."); ok {
		c.wake(func(gv schema.GroupVersion) bool { return gv.Group == group })
	}
}

// wake makes the probes of some group-versions ask now.
func (c *catalog) wake(which func(schema.GroupVersion) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for gv, p := range c.probes {
		if which(gv) {
			p.wakeUp()
		}
	}
}

// nameOnly keeps what crdChanged needs and the resourceVersion, by which client-go
// tells a change from a repetition.
func nameOnly(obj any) (any, error) {
	crd, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name:            crd.Name,
		UID:             crd.UID,
		ResourceVersion: crd.ResourceVersion,
	}}, nil
}

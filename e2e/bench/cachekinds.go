// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	clientinformers "k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/shardctl/shardctl/pkg/informers"
)

// The caches besides shardctl's. Those that are slim drop managedFields before they keep an object, as shardctl always does:
// that is a line of code which everybody may write, and not all do. Their names are contenders where figures are about them.
const (
	dynamicInformer      = "dynamic informer"
	dynamicSlim          = "dynamic informer, no managedFields"
	typedInformer        = "typed informer"
	typedSlim            = "typed informer, no managedFields"
	ctrlTyped            = "controller-runtime, typed"
	ctrlTypedSlim        = "controller-runtime, typed, no managedFields"
	ctrlUnstructured     = "controller-runtime, unstructured"
	ctrlUnstructuredSlim = "controller-runtime, unstructured, no managedFields"
	metadataInformer     = "metadata informer"
	metadataSlim         = "metadata informer, no managedFields"
)

// cacheKind is one way to have all objects of a type in memory.
type cacheKind struct {
	who  contender
	open func(*rest.Config, shape) (openCache, error)
}

// openCache has its clients, and watches nothing yet.
type openCache struct {
	// run keeps the cache up to date until its context is done.
	run func(context.Context) error
	// sync adds the one handler and returns when it has been told of every object.
	sync func(context.Context, toolscache.ResourceEventHandler) error
	// decode makes whole objects of all that are in it, one after the other; nil if they are already.
	decode func() error
}

func cacheKinds() []cacheKind {
	return []cacheKind{
		{session, openShardctl},
		{dynamicInformer, openDynamic(nil)},
		{dynamicSlim, openDynamic(ctrlcache.TransformStripManagedFields())},
		{typedInformer, openTyped(nil)},
		{typedSlim, openTyped(ctrlcache.TransformStripManagedFields())},
		{ctrlTyped, openControllerRuntime(typedObject, nil)},
		{ctrlTypedSlim, openControllerRuntime(typedObject, ctrlcache.TransformStripManagedFields())},
		{ctrlUnstructured, openControllerRuntime(unstructuredObject, nil)},
		{ctrlUnstructuredSlim, openControllerRuntime(unstructuredObject, ctrlcache.TransformStripManagedFields())},
		{metadataInformer, openMetadata(nil)},
		{metadataSlim, openMetadata(ctrlcache.TransformStripManagedFields())},
	}
}

// openShardctl is the cache that all controllers of a group share.
func openShardctl(cfg *rest.Config, s shape) (openCache, error) {
	c, err := informers.NewClient(cfg)
	if err != nil {
		return openCache{}, err
	}
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return openCache{}, err
	}
	set, err := informers.New(c, d, informers.Options{})
	if err != nil {
		return openCache{}, err
	}
	informer := set.Watch(s.resource)
	return openCache{
		run: set.Run,
		sync: func(ctx context.Context, h toolscache.ResourceEventHandler) error {
			if _, err := informer.AddHandler(h); err != nil {
				return err
			}
			return informer.WaitSynced(ctx)
		},
		decode: func() error {
			for _, object := range informer.List(metav1.NamespaceAll, nil) {
				if _, err := object.Decode(); err != nil {
					return err
				}
			}
			return nil
		},
	}, nil
}

func openDynamic(t toolscache.TransformFunc) func(*rest.Config, shape) (openCache, error) {
	return func(cfg *rest.Config, s shape) (openCache, error) {
		c, err := dynamic.NewForConfig(cfg)
		if err != nil {
			return openCache{}, err
		}
		return openInformer(dynamicinformer.NewDynamicSharedInformerFactory(c, 0).ForResource(s.resource).Informer(), t)
	}
}

// openTyped asks for protocol buffers, as Kubernetes' own components do: that costs less time than JSON.
func openTyped(t toolscache.TransformFunc) func(*rest.Config, shape) (openCache, error) {
	return func(cfg *rest.Config, s shape) (openCache, error) {
		cfg = rest.CopyConfig(cfg)
		cfg.ContentType = runtime.ContentTypeProtobuf
		c, err := kubernetes.NewForConfig(cfg)
		if err != nil {
			return openCache{}, err
		}
		informer, err := clientinformers.NewSharedInformerFactory(c, 0).ForResource(s.resource)
		if err != nil {
			return openCache{}, err
		}
		return openInformer(informer.Informer(), t)
	}
}

// openMetadata has nothing but metadata, for those whose controllers need no more of a type; the API server sends no more.
func openMetadata(t toolscache.TransformFunc) func(*rest.Config, shape) (openCache, error) {
	return func(cfg *rest.Config, s shape) (openCache, error) {
		c, err := metadata.NewForConfig(cfg)
		if err != nil {
			return openCache{}, err
		}
		return openInformer(metadatainformer.NewSharedInformerFactory(c, 0).ForResource(s.resource).Informer(), t)
	}
}

// openInformer is what all of client-go's have in common. Without a transform it has its defaults.
func openInformer(informer toolscache.SharedIndexInformer, t toolscache.TransformFunc) (openCache, error) {
	if t != nil {
		if err := informer.SetTransform(t); err != nil {
			return openCache{}, err
		}
	}
	return openCache{
		run:  func(ctx context.Context) error { informer.RunWithContext(ctx); return nil },
		sync: func(ctx context.Context, h toolscache.ResourceEventHandler) error { return handle(ctx, informer, h) },
	}, nil
}

// openControllerRuntime is the cache of a manager, which is all that a manager's reconcilers read from. It asks for protocol
// buffers by itself where the type has them.
func openControllerRuntime(example func(shape) (client.Object, error), t toolscache.TransformFunc) func(*rest.Config, shape) (openCache, error) {
	return func(cfg *rest.Config, s shape) (openCache, error) {
		c, err := ctrlcache.New(cfg, ctrlcache.Options{Scheme: scheme.Scheme, DefaultTransform: t})
		if err != nil {
			return openCache{}, err
		}
		object, err := example(s)
		if err != nil {
			return openCache{}, err
		}
		return openCache{run: c.Start, sync: func(ctx context.Context, h toolscache.ResourceEventHandler) error {
			informer, err := c.GetInformer(ctx, object)
			if err != nil {
				return err
			}
			return handle(ctx, informer, h)
		}}, nil
	}
}

func typedObject(s shape) (client.Object, error) {
	object, err := scheme.Scheme.New(s.gvk())
	if err != nil {
		return nil, err
	}
	typed, ok := object.(client.Object)
	if !ok {
		return nil, fmt.Errorf("%T has no metadata", object)
	}
	return typed, nil
}

func unstructuredObject(s shape) (client.Object, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(s.gvk())
	return object, nil
}

// handle adds a handler and waits until it has been told of everything.
func handle(ctx context.Context, informer interface {
	AddEventHandler(handler toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error)
}, h toolscache.ResourceEventHandler,
) error {
	registration, err := informer.AddEventHandler(h)
	if err != nil {
		return err
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return errors.Join(errors.New("not synced"), context.Cause(ctx))
	}
	return nil
}

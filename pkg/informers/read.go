// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// The methods here read the cache. What they return is shared with everybody in the
// process and must not be changed. Before the Informer is synced they see a part of
// the objects, while the type is missing none, and once it is stopped the last known.

// indexer is the cache, nil while the type is missing.
func (i *Informer) indexer() cache.Indexer {
	if sv := i.resource.cached.Load(); sv != nil {
		return sv.informer.GetIndexer()
	}
	return nil
}

// Get returns the object; the namespace of cluster-scoped ones is "". The object
// is shared and must not be changed.
func (i *Informer) Get(namespace, name string) (*Object, bool) {
	indexer := i.indexer()
	if indexer == nil {
		return nil, false
	}
	obj, exists, err := indexer.GetByKey(cache.NewObjectName(namespace, name).String())
	if err != nil || !exists {
		return nil, false
	}
	o, ok := obj.(*Object)
	return o, ok
}

// List returns the objects of a namespace, or of all with "", that the selector
// matches; nil matches all. The order is random. The objects are shared and must
// not be changed.
func (i *Informer) List(namespace string, selector labels.Selector) []*Object {
	indexer := i.indexer()
	if indexer == nil {
		return nil
	}
	if namespace == metav1.NamespaceAll {
		return matching(indexer.List(), selector)
	}
	objs, err := indexer.ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil // only if the index did not exist
	}
	return matching(objs, selector)
}

// OwnedBy returns the objects whose controller (the owner reference with
// controller=true) has the UID, in random order. They are shared and must not be changed.
func (i *Informer) OwnedBy(uid types.UID) []*Object {
	indexer := i.indexer()
	if indexer == nil {
		return nil
	}
	objs, err := indexer.ByIndex(controllerUIDIndex, string(uid))
	if err != nil {
		return nil // only if the index did not exist
	}
	return matching(objs, nil)
}

// Keys returns the names of all objects in the cache, in random order.
func (i *Informer) Keys() []cache.ObjectName {
	indexer := i.indexer()
	if indexer == nil {
		return nil
	}
	keys := indexer.ListKeys()
	names := make([]cache.ObjectName, 0, len(keys))
	for _, key := range keys {
		if name, err := cache.ParseObjectName(key); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// LastResourceVersion returns the newest resourceVersion of the type's collection that
// the cache has reached by a list, an event or a bookmark: Get and List show
// all changes up to it. "" if there was none yet.
func (i *Informer) LastResourceVersion() string {
	indexer := i.indexer()
	if indexer == nil {
		return ""
	}
	return indexer.LastStoreSyncResourceVersion()
}

func matching(objs []any, selector labels.Selector) []*Object {
	all := selector == nil || selector.Empty()
	found := make([]*Object, 0, len(objs))
	for _, obj := range objs {
		o, ok := obj.(*Object)
		if ok && (all || selector.Matches(labels.Set(o.GetLabels()))) {
			found = append(found, o)
		}
	}
	return found
}

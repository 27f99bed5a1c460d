// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

var errIncomplete = errors.New("the list has further pages, or does not say as of when it is")

// missed are the events that lead from what the cache has, as of a resourceVersion,
// to a list that is not older, and a bookmark at the list's resourceVersion. As the
// cache takes them one by one its resourceVersion only rises, and it never lacks
// anything that its resourceVersion says it has: deletions come first, at the
// resourceVersion it had, and changes in the order in which they were made.
func missed(known cache.Indexer, list runtime.Object, since string, example runtime.Object) ([]watch.Event, error) {
	page, err := meta.ListAccessor(list)
	if err != nil {
		return nil, err
	}
	if page.GetContinue() != "" || page.GetResourceVersion() == "" {
		return nil, errIncomplete
	}
	items, err := meta.ExtractList(list)
	if err != nil {
		return nil, err
	}
	listed, changes, err := changed(known, items)
	if err != nil {
		return nil, err
	}
	events, err := deleted(known, listed, since)
	if err != nil {
		return nil, err
	}
	end, err := atVersion(example, page.GetResourceVersion())
	if err != nil {
		return nil, err
	}
	return append(append(events, changes...), watch.Event{Type: watch.Bookmark, Object: end}), nil
}

// changed are the events for what is new in a list, and for what is no longer as the
// cache has it. It also returns the UID of all that is listed, by key.
func changed(known cache.Indexer, items []runtime.Object) (listed map[string]types.UID, events []watch.Event, err error) {
	listed = make(map[string]types.UID, len(items))
	for _, item := range items {
		key, err := cache.MetaNamespaceKeyFunc(item)
		if err != nil {
			return nil, nil, err
		}
		now, err := meta.Accessor(item)
		if err != nil {
			return nil, nil, err
		}
		listed[key] = now.GetUID()
		_, old, err := cachedAt(known, key)
		switch {
		case err != nil:
			return nil, nil, err
		case old == nil || old.GetUID() != now.GetUID():
			events = append(events, watch.Event{Type: watch.Added, Object: item})
		case old.GetResourceVersion() != now.GetResourceVersion():
			events = append(events, watch.Event{Type: watch.Modified, Object: item})
		}
	}
	return listed, events, sortByVersion(events)
}

// cachedAt returns an object and its metadata, nil if the cache has nothing of the key.
func cachedAt(known cache.Indexer, key string) (runtime.Object, metav1.Object, error) {
	cached, exists, err := known.GetByKey(key)
	if err != nil || !exists {
		return nil, nil, err
	}
	object, ok := cached.(runtime.Object)
	if !ok {
		return nil, nil, fmt.Errorf("the cache has a %T", cached)
	}
	metadata, err := meta.Accessor(object)
	return object, metadata, err
}

// deleted are the events for what the cache has and the list has not. An object that was
// deleted and made again under its name is deleted too.
func deleted(known cache.Indexer, listed map[string]types.UID, since string) (events []watch.Event, err error) {
	for _, key := range known.ListKeys() {
		object, old, err := cachedAt(known, key)
		if err != nil {
			return nil, err
		}
		if uid, ok := listed[key]; old == nil || ok && uid == old.GetUID() {
			continue
		}
		gone, err := atVersion(object, since)
		if err != nil {
			return nil, err
		}
		events = append(events, watch.Event{Type: watch.Deleted, Object: gone})
	}
	return events, nil
}

// atVersion is a copy of the object that says that it is of another resourceVersion.
func atVersion(object runtime.Object, resourceVersion string) (runtime.Object, error) {
	own := object.DeepCopyObject()
	accessor, err := meta.Accessor(own)
	if err != nil {
		return nil, err
	}
	accessor.SetResourceVersion(resourceVersion)
	return own, nil
}

// sortByVersion fails if resourceVersions are not those of Kubernetes, which can be
// compared.
func sortByVersion(events []watch.Event) (failed error) {
	slices.SortFunc(events, func(a, b watch.Event) int {
		order, err := compareVersions(a.Object, b.Object)
		failed = cmp.Or(failed, err)
		return order
	})
	return failed
}

func compareVersions(a, b runtime.Object) (int, error) {
	first, err := meta.Accessor(a)
	if err != nil {
		return 0, err
	}
	second, err := meta.Accessor(b)
	if err != nil {
		return 0, err
	}
	return resourceversion.CompareResourceVersion(first.GetResourceVersion(), second.GetResourceVersion())
}

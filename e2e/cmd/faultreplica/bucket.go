// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/e2e/faults/workload"
	"github.com/shardctl/shardctl/pkg/lease"
)

// bucket is one shard that an elector elects for, and its work: a queue and some workers, as controllers mostly have.
type bucket struct {
	t                 workload.Type
	bucket            lease.Bucket
	worker            workload.Worker
	objects, children informers.GenericInformer
}

func (b *bucket) shard() string { return lease.ShardName(b.t.Family(), b.bucket) }

// minBackoff is after how long a reconcile that failed is tried again at first, as with the library.
const minBackoff = 50 * time.Millisecond

// work reconciles the bucket's objects until the context is done and the last reconcile has returned.
func (b *bucket) work(ctx context.Context) {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](minBackoff, maxBackoff))
	enqueue := func(object any) {
		if o, ok := object.(*unstructured.Unstructured); ok && b.t.In(b.bucket, o) {
			queue.Add(cache.MetaObjectToName(o))
		}
	}
	enqueueOwner := func(object any) {
		child, ok := object.(*unstructured.Unstructured)
		if !ok {
			return // the last state of what was deleted unseen is of no use
		}
		if name, ok := b.t.OwnerOf(child); ok {
			if owner, err := b.objects.Lister().ByNamespace(child.GetNamespace()).Get(name); err == nil {
				enqueue(owner)
			}
		}
	}
	stop, err := handle(map[cache.SharedIndexInformer]func(any){b.objects.Informer(): enqueue, b.children.Informer(): enqueueOwner})
	if err != nil {
		klog.FromContext(ctx).Error(err, "The informers have stopped", "shard", b.shard())
		return
	}
	defer stop()
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for b.next(ctx, queue) {
			}
		})
	}
	<-ctx.Done()
	queue.ShutDown()
	running.Wait()
}

// handle calls each function for every change that its informer sees, until stop.
func handle(by map[cache.SharedIndexInformer]func(any)) (stop func(), err error) {
	var remove []func() error
	stop = func() {
		for _, one := range remove {
			_ = one() // an informer that has stopped has no handlers
		}
	}
	for informer, changed := range by {
		registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: changed, UpdateFunc: func(_, object any) { changed(object) }, DeleteFunc: changed,
		})
		if err != nil {
			stop()
			return nil, err
		}
		remove = append(remove, func() error { return informer.RemoveEventHandler(registration) })
	}
	return stop, nil
}

func (b *bucket) next(ctx context.Context, queue workqueue.TypedRateLimitingInterface[cache.ObjectName]) bool {
	key, down := queue.Get()
	if down {
		return false
	}
	defer queue.Done(key)
	if err := b.reconcile(ctx, key); err != nil {
		queue.AddRateLimited(key)
		return true
	}
	queue.Forget(key)
	return true
}

func (b *bucket) reconcile(ctx context.Context, key cache.ObjectName) error {
	object, err := get(b.objects, key.Namespace, key.Name)
	if object == nil || object.GetDeletionTimestamp() != nil {
		return err
	}
	child, err := get(b.children, key.Namespace, b.t.ChildName(key.Name))
	if err != nil || workload.Unreconciled(object, child) == nil {
		return err
	}
	return b.worker.Reconcile(ctx, b.t, object, b.shard())
}

// get reads the cache; nil if it has no such object.
func get(informer informers.GenericInformer, namespace, name string) (*unstructured.Unstructured, error) {
	found, exists, err := informer.Informer().GetStore().GetByKey(namespace + "/" + name)
	if err != nil || !exists {
		return nil, err
	}
	object, ok := found.(*unstructured.Unstructured)
	if !ok {
		return nil, errors.New("the cache has something that is no object")
	}
	return object, nil
}

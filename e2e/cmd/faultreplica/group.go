// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/shardctl/shardctl/e2e/faults/workload"
	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/shard"
)

// workers of one shard, with either way to elect.
const workers = 4

// A reconcile that fails is tried again soon: faults are short, and what they leave undone is waited for.
const maxBackoff = time.Second

// runGroup takes part in the group, as any program that uses the library.
func (r *replica) runGroup(ctx context.Context) error {
	group, err := shard.NewGroup(r.config, shard.GroupOptions{
		Name: r.group, Namespace: r.namespace, WatchNamespace: r.namespace, Timings: timings, Registerer: r.registry,
	})
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(writing(group.FencedConfig()))
	if err != nil {
		return err
	}
	worker := workload.Worker{Client: client, PodUID: r.podUID}
	children := group.Informer(workload.ConfigMaps)
	defer children.Release()
	for _, t := range r.types {
		objects := group.Informer(t.GroupVersionResource)
		defer objects.Release()
		c := &controller{t: t, worker: worker, objects: objects, children: children}
		err = errors.Join(err, group.Add(shard.Controller{
			Resource: t.GroupVersionResource, Buckets: t.Buckets, Partition: t.Partition,
			Workers: workers, MaxBackoff: maxBackoff,
			Watches:   []shard.Watch{{Resource: workload.ConfigMaps, Keys: c.ownersOf}},
			Reconcile: c.reconcile,
		}))
	}
	if err != nil {
		return err
	}
	return group.Run(ctx)
}

// controller of one type.
type controller struct {
	t                 workload.Type
	worker            workload.Worker
	objects, children *informers.Informer
}

func (c *controller) reconcile(ctx context.Context, key shard.Key) (shard.Result, error) {
	term, ok := shard.TermFrom(ctx)
	if !ok {
		return shard.Result{}, errors.New("a reconcile without a term")
	}
	cached, ok := c.objects.Get(key.Namespace, key.Name)
	if !ok || cached.GetDeletionTimestamp() != nil {
		return shard.Result{}, nil // the garbage collector deletes its child
	}
	object, err := cached.Decode()
	if err != nil {
		return shard.Result{}, err
	}
	var child *unstructured.Unstructured
	if cached, ok := c.children.Get(key.Namespace, c.t.ChildName(key.Name)); ok {
		if child, err = cached.Decode(); err != nil {
			return shard.Result{}, err
		}
	}
	if workload.Unreconciled(object, child) == nil {
		return shard.Result{}, nil
	}
	return shard.Result{}, c.worker.Reconcile(ctx, c.t, object, fmt.Sprintf("%s/%d", term.Shard(), term.Epoch()))
}

func (c *controller) ownersOf(child *informers.Object) []shard.Key {
	if owner, ok := c.t.OwnerOf(child); ok {
		return []shard.Key{{Namespace: child.GetNamespace(), Name: owner}}
	}
	return nil
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/shard"
)

// runShardctl takes part in a group, with metrics, as any program would that uses the library.
func (op *operator) runShardctl(ctx context.Context) error {
	group, err := shard.NewGroup(op.config, shard.GroupOptions{
		Name: op.group, Namespace: op.namespace, WatchNamespace: itemsNamespace, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		return err
	}
	all := make([]shard.Key, op.items)
	for i := range all {
		all[i] = shard.Key{Namespace: itemsNamespace, Name: itemName(i)}
	}
	err = group.Add(shard.Controller{
		Resource: itemsResource, Buckets: op.buckets, Workers: op.workers,
		Reconcile: func(ctx context.Context, key shard.Key) (shard.Result, error) {
			return shard.Result{}, op.work.reconcile(ctx, key.Name)
		},
		Watches: []shard.Watch{{Resource: triggersResource, Keys: func(o *informers.Object) []shard.Key {
			if o.GetName() != op.trigger {
				return nil
			}
			return all
		}}},
	})
	if err != nil {
		return err
	}
	return group.Run(ctx)
}

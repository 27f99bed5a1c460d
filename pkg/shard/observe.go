// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"

	"k8s.io/client-go/util/workqueue"
)

// observations feed a controller's Observe, on every replica.
type observations struct {
	queue workqueue.TypedInterface[Key]
}

func newObservations(name string) *observations {
	return &observations{queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[Key]{Name: name + "-observe"})}
}

func (o *observations) add(key Key) { o.queue.Add(key) }

// run calls observe for one key after the other until ctx is done.
func (o *observations) run(ctx context.Context, observe func(context.Context, Key)) error {
	defer context.AfterFunc(ctx, o.queue.ShutDown)()
	for {
		key, shutdown := o.queue.Get()
		if shutdown {
			return nil
		}
		if ctx.Err() == nil {
			observe(ctx, key)
		}
		o.queue.Done(key)
	}
}

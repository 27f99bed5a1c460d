// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/kmeta"
)

// knativeReconciler is the work for knative's controller. It is not leader-aware, so that nothing is asked about a key.
type knativeReconciler struct{ *work }

func (r knativeReconciler) Reconcile(ctx context.Context, key string) error {
	_, item, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return controller.NewPermanentError(err)
	}
	return r.work.reconcile(ctx, item)
}

// runKnative runs knative's controller on informers of metadata. It logs every reconcile, which here costs it as little as it can:
// the logger writes nothing. There are no metrics either, which is its default.
func (op *operator) runKnative(ctx context.Context) error {
	client, err := metadata.NewForConfig(op.config)
	if err != nil {
		return err
	}
	impl := controller.NewContext(ctx, knativeReconciler{op.work}, controller.ControllerOptions{
		WorkQueueName: itemsResource.Resource, Logger: zap.NewNop().Sugar(), Concurrency: op.workers,
	})
	all := make([]types.NamespacedName, op.items)
	for i := range all {
		all[i] = types.NamespacedName{Namespace: itemsNamespace, Name: itemName(i)}
	}
	enqueueAll := func(obj any) {
		if trigger, err := kmeta.DeletionHandlingAccessor(obj); err != nil || trigger.GetName() != op.trigger {
			return
		}
		for _, key := range all {
			impl.EnqueueKey(key)
		}
	}
	const resync = 0 // off, as it is for the others
	factory := metadatainformer.NewFilteredSharedInformerFactory(client, resync, itemsNamespace, nil)
	if _, err := factory.ForResource(itemsResource).Informer().AddEventHandler(controller.HandleAll(impl.Enqueue)); err != nil {
		return err
	}
	if _, err := factory.ForResource(triggersResource).Informer().AddEventHandler(controller.HandleAll(enqueueAll)); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	factory.WaitForCacheSync(ctx.Done())
	return impl.Run(ctx)
}

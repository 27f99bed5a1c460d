// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// runControllerRuntime runs a controller of controller-runtime on a cache of metadata. What it logs at its start and end goes to
// klog; a reconcile gets a logger that writes nothing and that values are added to for free.
func (op *operator) runControllerRuntime(ctx context.Context) error {
	ctrl.SetLogger(klog.Background())
	manager, err := ctrl.NewManager(op.config, ctrl.Options{
		Cache:                         cache.Options{DefaultNamespaces: map[string]cache.Config{itemsNamespace: {}}},
		Metrics:                       server.Options{BindAddress: "0"},
		LeaderElection:                op.elects,
		LeaderElectionID:              op.group,
		LeaderElectionNamespace:       op.namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return err
	}
	items, err := controller.New(itemsResource.Resource, manager, controller.Options{
		MaxConcurrentReconciles: op.workers,
		UsePriorityQueue:        ptr.To(op.priorityQueue),
		LogConstructor:          func(*reconcile.Request) logr.Logger { return logr.Discard() },
		Reconciler: reconcile.Func(func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
			return reconcile.Result{}, op.work.reconcile(ctx, request.Name)
		}),
	})
	if err != nil {
		return err
	}
	all := make([]reconcile.Request, op.items)
	for i := range all {
		all[i] = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: itemsNamespace, Name: itemName(i)}}
	}
	triggered := func(_ context.Context, o client.Object) []reconcile.Request {
		if o.GetName() != op.trigger {
			return nil
		}
		return all
	}
	if err := items.Watch(source.Kind(manager.GetCache(), metadataOf(itemKind), &handler.EnqueueRequestForObject{})); err != nil {
		return err
	}
	if err := items.Watch(source.Kind(manager.GetCache(), metadataOf(triggerKind), handler.EnqueueRequestsFromMapFunc(triggered))); err != nil {
		return err
	}
	return manager.Start(ctx)
}

func metadataOf(kind schema.GroupVersionKind) client.Object {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(kind)
	return o
}

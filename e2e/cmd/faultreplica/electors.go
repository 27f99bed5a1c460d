// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/shardctl/shardctl/e2e/faults/workload"
	"github.com/shardctl/shardctl/pkg/lease"
)

// runElectors does what programs do that shard with client-go: one elector for each shard, here for the buckets that the
// library would make. Nothing checks a write but the elector, which cancels the context of its work when it is done.
func (r *replica) runElectors(ctx context.Context) error {
	kube, err := kubernetes.NewForConfig(r.config)
	if err != nil {
		return err
	}
	cached, err := dynamic.NewForConfig(r.config)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(writing(r.config))
	if err != nil {
		return err
	}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(cached, 0, r.namespace, nil)
	worker := workload.Worker{Client: client, PodUID: r.podUID}
	children := factory.ForResource(workload.ConfigMaps)
	identity := lease.Identity{Replica: lease.Replica{
		Pod: r.pod, UID: r.podUID, Container: "main", Boot: strings.ToLower(rand.Text()[:10]),
	}}
	var led []*bucket
	for _, t := range r.types {
		objects := factory.ForResource(t.GroupVersionResource)
		for _, b := range t.All() {
			led = append(led, &bucket{t: t, bucket: b, worker: worker, objects: objects, children: children})
		}
	}
	defer factory.Shutdown()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	electors, ctx := errgroup.WithContext(ctx)
	for _, b := range led {
		electors.Go(func() error { return r.runElector(ctx, kube, b, identity.String()) })
	}
	return electors.Wait()
}

// runElector works for one shard whenever it is elected, until the context is done.
func (r *replica) runElector(ctx context.Context, kube kubernetes.Interface, b *bucket, identity string) error {
	for ctx.Err() == nil {
		ended := make(chan struct{})
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: r.namespace, Name: lease.ShardLeaseName(r.group, b.shard())},
				Client:     kube.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
				Labels:     r.leaseLabels(b),
			},
			LeaseDuration:   timings.LeaseDuration,
			RenewDeadline:   timings.RenewDeadline,
			RetryPeriod:     timings.RenewInterval,
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					defer close(ended)
					b.work(ctx)
				},
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			return fmt.Errorf("elector of %s: %w", b.shard(), err)
		}
		elector.Run(ctx)
		select {
		case <-ended: // the work that it has led, once its last reconcile has returned
		case <-ctx.Done():
		}
	}
	return nil
}

// leaseLabels are those that a shard Lease of the library has, by which the oracle finds it.
func (r *replica) leaseLabels(b *bucket) map[string]string {
	return map[string]string{
		lease.LabelGroup: r.group, lease.LabelKind: lease.KindShard, lease.LabelFamily: lease.FamilyLabel(b.t.Family()),
	}
}

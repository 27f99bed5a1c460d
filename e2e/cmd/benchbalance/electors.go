// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// What controller-runtime and most others use with client-go's elector.
const (
	electorLeaseDuration = 15 * time.Second
	electorRenewDeadline = 10 * time.Second
	electorRetryPeriod   = 2 * time.Second
)

// runElectors does what programs do that shard with client-go: one elector for each shard.
func (r *replica) runElectors(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(r.config)
	if err != nil {
		return err
	}
	electors, ctx := errgroup.WithContext(ctx)
	for _, name := range r.shards {
		electors.Go(func() error { return r.runElector(ctx, client, name) })
	}
	return electors.Wait()
}

// runElector returns when the context is done and the work has ended.
func (r *replica) runElector(ctx context.Context, client kubernetes.Interface, shard string) error {
	var working sync.WaitGroup
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: r.namespace, Name: "elector-" + shard},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: r.pod},
		},
		LeaseDuration:   electorLeaseDuration,
		RenewDeadline:   electorRenewDeadline,
		RetryPeriod:     electorRetryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { working.Go(func() { r.work(ctx, shard) }) },
			OnStoppedLeading: func() {},
			OnNewLeader: func(identity string) {
				if identity != r.pod {
					r.notes.note(watching, shard)
				}
			},
		},
	})
	if err != nil {
		return fmt.Errorf("elector of %s: %w", shard, err)
	}
	elector.Run(ctx)
	working.Wait()
	if ctx.Err() == nil {
		return fmt.Errorf("elector of %s: it has lost its Lease", shard)
	}
	return nil
}

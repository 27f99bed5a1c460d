// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// What controller-runtime and most others use with client-go's elector. The LeaseDuration is also shardctl's.
const (
	electorLeaseDuration = 15 * time.Second
	electorRenewDeadline = 10 * time.Second
	electorRetryPeriod   = 2 * time.Second
)

// runElectors does what programs do that shard with client-go: one elector for each shard. They share a client, whose requests
// take half of the RenewDeadline at most, so that there is time for another attempt: that is what client-go does itself where it
// makes the client (resourcelock.NewFromKubeconfig), and controller-runtime.
//
// The identity is that of kube-controller-manager and controller-runtime: a container that is restarted is somebody new.
//
// SIGTERM ends the electors' context. Each of them first releases its Lease and then ends the context that it gave to the work:
// client-go asks its users to have ended the work before (LeaderElectionConfig.ReleaseOnCancel), and leaves it to them how. The
// program ends when all electors and all work have ended.
func (r *replica) runElectors(ctx context.Context) error {
	config := rest.CopyConfig(r.config)
	config.Timeout = electorRenewDeadline / 2
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	identity := r.pod + "_" + string(uuid.NewUUID())
	electors, ctx := errgroup.WithContext(ctx)
	for _, name := range r.shards {
		electors.Go(func() error { return r.runElector(ctx, client, identity, name) })
	}
	return electors.Wait()
}

// runElector returns when the context is done and the work has ended.
func (r *replica) runElector(ctx context.Context, client kubernetes.Interface, identity, shard string) error {
	var working sync.WaitGroup
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: r.namespace, Name: "elector-" + shard},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		LeaseDuration:   electorLeaseDuration,
		RenewDeadline:   electorRenewDeadline,
		RetryPeriod:     electorRetryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { working.Go(func() { r.work(ctx, shard) }) },
			OnStoppedLeading: func() {
				if ctx.Err() == nil {
					r.exit(shard)
				}
			},
			OnNewLeader: func(leader string) {
				if leader != identity {
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
	return nil
}

// exit ends the process because a Lease was lost, as kube-controller-manager, kubebuilder's programs and client-go's own example
// do: nothing else ends work that ignores its context. The work for all other shards ends with it.
func (r *replica) exit(shard string) {
	r.cutOff()
	fmt.Fprintf(os.Stderr, "elector of %s: it has lost its Lease\n", shard)
	os.Exit(1)
}

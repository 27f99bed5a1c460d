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

// workFirst is client-go with the work stopped before the Lease is released, as ReleaseOnCancel asks for: a contender where that
// makes a difference.
const workFirst = "client-go, work stopped first"

// runElectors does what programs do that shard with client-go: one elector for each shard. They share a client, whose requests
// take half of the RenewDeadline at most, so that there is time for another attempt: that is what client-go does itself where it
// makes the client (resourcelock.NewFromKubeconfig), and controller-runtime.
//
// The identity is that of kube-controller-manager and controller-runtime: a container that is restarted is somebody new.
//
// SIGTERM ends the electors' context, as in client-go's own example. The context that they gave to the work is derived from it
// and ends at the same moment, while they release their Leases: work that takes a while to stop goes on without one. client-go
// asks its users to have ended the work before they end the electors' context (LeaderElectionConfig.ReleaseOnCancel), and leaves
// it to them how; with stopWorkFirst that is what happens. The program ends when all electors and all work have ended.
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
	var work terms
	electing := ctx
	if r.stopWorkFirst {
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		defer context.AfterFunc(ctx, func() {
			work.finish()
			stop()
		})()
		electing = running
	}
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
			OnStartedLeading: func(term context.Context) {
				work.begin(func() {
					term, cancel := context.WithCancel(term)
					defer cancel()
					defer context.AfterFunc(ctx, cancel)() // before the term ends, if the work is to stop first
					r.work(term, shard)
				})
			},
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
	elector.Run(electing)
	work.finish()
	return nil
}

// terms are the work of one elector. client-go begins it in a goroutine of its own, which may come when the elector has returned
// already: that is too late.
type terms struct {
	working sync.WaitGroup

	mu   sync.Mutex // guards over
	over bool
}

func (t *terms) begin(work func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.working.Go(work)
	}
}

// finish returns when all work has ended, and none begins any more.
func (t *terms) finish() {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.working.Wait()
}

// exit ends the process because a Lease was lost, as kube-controller-manager, kubebuilder's programs and client-go's own example
// do: nothing else ends work that ignores its context, which is not even done until the elector has tried to release the Lease.
// The work for all other shards ends with it.
func (r *replica) exit(shard string) {
	r.cutOff()
	fmt.Fprintf(os.Stderr, "elector of %s: it has lost its Lease\n", shard)
	os.Exit(1)
}

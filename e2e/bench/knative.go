// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"knative.dev/pkg/leaderelection"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/system"
)

// knativeComponent is what the Leases' names begin with: <component>.<work queue>.<bucket>-of-<buckets>. The work queue of a
// generated reconciler is called by the path of its Go type; here it is the shard.
const knativeComponent = "controller"

// runReconcilers does what knative's controllers do: one reconciler per shard, each with an elector of its own that promotes and
// demotes it (controller.Impl builds and runs it in the same way), one bucket, and one client without a timeout for all of them
// (sharedmain makes it). Of the timings in its ConfigMap the ones are chosen that the others have, not its defaults of 60 s, 40 s
// and 10 s. The identity is knative's own, a new one per elector and process.
//
// SIGTERM ends the electors' context: they release their Leases, then demote their reconcilers. controller.Impl shuts its work
// queue at the same moment, so that idle workers end at once, and waits for those that are busy before the program ends; so does
// this. An elector that has lost its Lease demotes the reconciler when it has tried to release it, and stands for election again.
func (r *replica) runReconcilers(ctx context.Context) error {
	if err := os.Setenv(system.NamespaceEnvKey, r.namespace); err != nil { // of the Leases; there is no other way to say it
		return err
	}
	client, err := kubernetes.NewForConfig(r.sighting(func(lease string) []string { return []string{shardOfKnativeLease(lease)} }))
	if err != nil {
		return err
	}
	config := leaderelection.Config{
		Buckets: 1, LeaseDuration: electorLeaseDuration, RenewDeadline: electorRenewDeadline, RetryPeriod: electorRetryPeriod,
	}
	electing := leaderelection.WithDynamicLeaderElectorBuilder(ctx, client, config.GetComponentConfig(knativeComponent))
	tasks, electing := errgroup.WithContext(electing)
	for _, name := range r.shards {
		p := newPromoted(r, name)
		aware := &reconciler.LeaderAwareFuncs{
			PromoteFunc: func(reconciler.Bucket, func(reconciler.Bucket, types.NamespacedName)) error {
				p.promote(electing)
				return nil
			},
			DemoteFunc: func(reconciler.Bucket) { p.demote() },
		}
		elector, err := leaderelection.BuildElector(electing, aware, name, func(reconciler.Bucket, types.NamespacedName) {})
		if err != nil {
			return fmt.Errorf("elector of %s: %w", name, err)
		}
		tasks.Go(func() error {
			elector.Run(electing)
			p.work.finish()
			return nil
		})
	}
	return tasks.Wait()
}

// shardOfKnativeLease is the other way round from what knative does.
func shardOfKnativeLease(lease string) string {
	return strings.TrimSuffix(strings.TrimPrefix(lease, knativeComponent+"."), ".00-of-01")
}

// promoted is the work of a reconciler while it is promoted.
type promoted struct {
	replica *replica
	shard   string
	work    terms
	busy    chan struct{} // has one in it during the work: a work queue, too, lets nobody begin with a key before the last has ended

	mu     sync.Mutex // guards cancel
	cancel context.CancelFunc
}

func newPromoted(r *replica, shard string) *promoted {
	return &promoted{replica: r, shard: shard, busy: make(chan struct{}, 1)}
}

// promote begins the work, until it is demoted or the process is told to end.
func (p *promoted) promote(running context.Context) {
	ctx, cancel := context.WithCancel(running)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel = cancel
	p.work.begin(func() {
		p.busy <- struct{}{}
		defer func() { <-p.busy }()
		if ctx.Err() == nil {
			p.replica.work(ctx, p.shard)
		}
	})
}

// demote waits for nothing, as knative's reconcilers do not: what they are about to do they do.
func (p *promoted) demote() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil { // an elector that has never been elected demotes, too
		p.cancel()
	}
}

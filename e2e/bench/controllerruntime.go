// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// runManager does what kubebuilder's programs do: one Lease for the whole program, whose holder runs everything. The manager
// releases the Lease when it ends, once all work has ended, for which it waits 30 s by default; the program has to end then. One
// that has lost its Lease returns an error, and the program ends with whatever work there still is.
func (r *replica) runManager(ctx context.Context) error {
	ctrl.SetLogger(klog.NewKlogr())
	manager, err := ctrl.NewManager(r.sighting(func(string) []string { return r.shards }), ctrl.Options{
		LeaderElection:                true,
		LeaderElectionID:              "manager",
		LeaderElectionNamespace:       r.namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 ptr.To(electorLeaseDuration),
		RenewDeadline:                 ptr.To(electorRenewDeadline),
		RetryPeriod:                   ptr.To(electorRetryPeriod),
		Metrics:                       metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:        "0",
	})
	if err != nil {
		return err
	}
	for _, name := range r.shards {
		if err := manager.Add(managed{r, name}); err != nil {
			return fmt.Errorf("work for %s: %w", name, err)
		}
	}
	return manager.Start(ctx)
}

// managed is the work for a shard as a manager runs it.
type managed struct {
	replica *replica
	shard   string
}

// Start works until the context is done.
func (m managed) Start(ctx context.Context) error {
	m.replica.work(ctx, m.shard)
	return nil
}

// NeedLeaderElection has only the holder of the Lease start it.
func (m managed) NeedLeaderElection() bool { return true }

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/child"
	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/instrument"
	"github.com/shardctl/shardctl/internal/leadership"
	"github.com/shardctl/shardctl/internal/recorder"
	"github.com/shardctl/shardctl/internal/terminationlog"
	"github.com/shardctl/shardctl/internal/version"
	"github.com/shardctl/shardctl/pkg/shard"
)

// Options of a replica that its configuration file does not say, because they
// differ from replica to replica.
type Options struct {
	// Namespace is where the group's Leases are, unless the file says so.
	Namespace string
	// Revision orders versions: see [shard.GroupOptions].
	Revision int64
	// TerminationLog is where the kubelet looks for a termination message: see
	// [shard.GroupOptions].
	TerminationLog string
	// TolerateMissingPermissions has the replica start although it may not do all that the
	// file needs, for permissions that were granted for some namespaces or names only.
	TolerateMissingPermissions bool
	// Pprof serves profiles of the process: see [endpoint.Options].
	Pprof bool
	// ConfigFile is where the configuration was read. It is looked at again every 5 s, and
	// at once when Reload delivers. Empty: what was read stays in force.
	ConfigFile string
	Reload     <-chan os.Signal
}

// Replica is one process of a group.
type Replica struct {
	group        *shard.Group
	namespace    string
	workshop     *workshop
	local        *localEndpoint
	reload       *reloader // nil: nothing is read again
	preflight    *preflight
	introduction *introduction
	registry     *prometheus.Registry
	recorder     *recorder.Recorder
	service      *service
	// terminationLog gets the error that the replica ends with.
	terminationLog string
}

// New puts a replica together. It listens already, so that an address in use
// is an error before anything is led.
func New(ctx context.Context, rc *rest.Config, cfg *config.Config, o Options) (*Replica, error) {
	r := &Replica{registry: prometheus.NewRegistry(), terminationLog: cmp.Or(o.TerminationLog, terminationlog.Default)}
	r.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), instrument.Build(cfg.Name, version.String()))
	if err := instrument.Register(r.registry); err != nil {
		return nil, err
	}
	crds, err := metadata.NewForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("client for CustomResourceDefinitions: %w", err)
	}
	namespace := cmp.Or(cfg.Namespace, o.Namespace)
	r.namespace = namespace
	self, err := podName()
	if err != nil {
		return nil, err
	}
	if r.recorder, err = recorder.New(recorder.Options{Config: rc, Controller: eventController, Instance: self}); err != nil {
		return nil, err
	}
	options := shard.GroupOptions{
		Name: cfg.Name, Namespace: namespace, Revision: o.Revision,
		Timings: cfg.Timings, Mode: cfg.Mode, DrainTimeout: cfg.DrainTimeout, LeaveTimeout: cfg.DrainTimeout + leaveReserve,
		TerminationLog: o.TerminationLog, NoPodWatch: !cfg.PodWatch,
		Balance:  cfg.Balance,
		Metadata: crds, Registerer: r.registry,
	}
	if cfg.Events {
		options.Recorder = r.recorder
	}
	if r.group, err = shard.NewGroup(rc, options); err != nil {
		return nil, err
	}
	r.local = newLocalEndpoint(rc, cfg, leadership.Options{Backend: leadership.Of(r.group), Group: cfg.Name, Namespace: namespace, Pod: self})
	if r.workshop, err = newWorkshop(rc, r.group, r.local, self, namespace); err != nil {
		return nil, err
	}
	change, _, err := r.workshop.duties(cfg.Roles, cfg.Workers)
	if err != nil {
		return nil, err
	}
	if err := r.group.Apply(ctx, change); err != nil {
		return nil, err
	}
	if r.preflight, err = newPreflight(rc, cfg, namespace, o.TolerateMissingPermissions); err != nil {
		return nil, err
	}
	if r.introduction, err = newIntroduction(rc, cfg, namespace, r.group.ReportFence); err != nil {
		return nil, err
	}
	if o.ConfigFile != "" {
		r.reload = r.reloader(rc, cfg, o)
	}
	if r.service, err = r.serve(ctx, rc, cfg, self, o); err != nil {
		return nil, err
	}
	if err := r.local.listen(ctx, cfg); err != nil {
		_ = r.service.listener.Close() // nothing was served
		return nil, err
	}
	return r, nil
}

// eventController is as whom replicas write Events.
const eventController = "shardctl.dev"

// leaveReserve is what handing over takes once all work has ended.
const leaveReserve = config.DefaultDrainTimeout / 4

// Run takes part in the group until ctx is done, then hands over and returns
// nil if that succeeded.
func (r *Replica) Run(ctx context.Context) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	g, serving := errgroup.WithContext(serving)
	g.Go(func() error { return r.service.run(serving) })
	g.Go(func() error { return r.local.run(serving) })
	g.Go(func() error { return r.recorder.Run(serving) })
	g.Go(func() error { return child.ReapOrphans(serving) })
	if r.workshop.pod != nil {
		g.Go(func() error { return r.workshop.pod.Run(serving) })
	}
	g.Go(func() error {
		r.introduction.run(serving)
		return nil
	})
	g.Go(func() error {
		defer stop()
		leave, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(serving, cancel)() // the endpoint failed: leave in order
		switch err := r.preflight.check(leave); {
		case err != nil && ctx.Err() != nil:
			return nil // told to stop before it has joined the group: there is nothing to hand over
		case err != nil && leave.Err() == nil:
			return err
		}
		if r.reload != nil {
			g.Go(func() error {
				r.reload.run(leave)
				return nil
			})
		}
		return r.group.Run(leave)
	})
	err := g.Wait()
	if err != nil {
		r.leaveWord(ctx, err)
	}
	return err
}

// leaveWord puts the error that the replica ends with into the Pod's
// status-to-be. The kubelet would take it from the log only if nothing was
// written there, and the group has left a line.
func (r *Replica) leaveWord(ctx context.Context, reason error) {
	if err := terminationlog.Append(r.terminationLog, reason.Error()); err != nil {
		klog.FromContext(ctx).V(2).Info("The Pod's status will not tell why this replica has ended", "err", err)
	}
}

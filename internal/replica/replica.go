// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"cmp"
	"context"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/decorator"
	"github.com/shardctl/shardctl/internal/hook"
	"github.com/shardctl/shardctl/internal/terminationlog"
	"github.com/shardctl/shardctl/pkg/informers"
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
}

// Replica is one process of a group.
type Replica struct {
	group        *shard.Group
	preflight    *preflight
	introduction *introduction
	registry     *prometheus.Registry
	listener     net.Listener
	// terminationLog gets the error that the replica ends with.
	terminationLog string
	hooks          []hook.Hook
	// borrowed are the caches that decorators read.
	borrowed []*informers.Informer
}

// New puts a replica together. It listens already, so that an address in use
// is an error before anything is led.
func New(ctx context.Context, rc *rest.Config, cfg *config.Config, o Options) (*Replica, error) {
	r := &Replica{registry: prometheus.NewRegistry(), terminationLog: cmp.Or(o.TerminationLog, terminationlog.Default)}
	r.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	crds, err := metadata.NewForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("client for CustomResourceDefinitions: %w", err)
	}
	namespace := cfg.Namespace
	if namespace == "" {
		namespace = o.Namespace
	}
	r.group, err = shard.NewGroup(rc, shard.GroupOptions{
		Name: cfg.Name, Namespace: namespace, Revision: o.Revision,
		Timings: cfg.Timings, Mode: cfg.Mode, DrainTimeout: cfg.DrainTimeout, LeaveTimeout: cfg.DrainTimeout + leaveReserve,
		TerminationLog: o.TerminationLog, NoPodWatch: !cfg.PodWatch,
		Balance:  cfg.Balance,
		Metadata: crds, Registerer: r.registry,
	})
	if err != nil {
		return nil, err
	}
	if err := r.addRoles(rc, cfg); err != nil {
		return nil, err
	}
	if r.preflight, err = newPreflight(rc, cfg, namespace, o.TolerateMissingPermissions); err != nil {
		return nil, err
	}
	if r.introduction, err = newIntroduction(rc, cfg, namespace, r.group.ReportFence); err != nil {
		return nil, err
	}
	if r.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.HTTPAddress); err != nil {
		return nil, fmt.Errorf("spec.http.address: %w: use another address or port", err)
	}
	return r, nil
}

// leaveReserve is what handing over takes once all work has ended.
const leaveReserve = config.DefaultDrainTimeout / 4

func (r *Replica) addRoles(rc *rest.Config, cfg *config.Config) error {
	client, err := dynamic.NewForConfig(r.group.FencedConfig())
	if err != nil {
		return fmt.Errorf("client for writes: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(rc)
	if err != nil {
		return fmt.Errorf("client for discovery: %w", err)
	}
	status := newStatusSubresources(disco)
	for _, role := range cfg.Roles {
		c, err := r.decorator(role.Decorator, client, status)
		if err != nil {
			return fmt.Errorf("role %s: %w", role.Name, err)
		}
		for _, rule := range role.Decorator.Spec.Resources {
			if err := r.group.Add(controllerFor(c, role, rule.GVR(), cfg.Workers)); err != nil {
				return fmt.Errorf("role %s: %w", role.Name, err)
			}
		}
	}
	return nil
}

// decorator makes the decorator of a document, with its hooks and caches.
func (r *Replica) decorator(doc *decorator.Document, client dynamic.Interface, status *statusSubresources) (*decorator.Controller, error) {
	o := decorator.Options{
		Document: doc, Client: client, HasStatus: status.has,
		Parents:     map[schema.GroupVersionResource]decorator.Cache{},
		Attachments: map[schema.GroupVersionResource]decorator.Cache{},
	}
	var err error
	if o.Sync, err = r.hook(doc.Spec.Hooks.Sync); err != nil {
		return nil, fmt.Errorf("sync hook: %w", err)
	}
	if doc.Spec.Hooks.Finalize != nil {
		if o.Finalize, err = r.hook(doc.Spec.Hooks.Finalize); err != nil {
			return nil, fmt.Errorf("finalize hook: %w", err)
		}
	}
	for _, rule := range doc.Spec.Resources {
		o.Parents[rule.GVR()] = r.borrow(rule.GVR())
	}
	for _, rule := range doc.Spec.Attachments {
		o.Attachments[rule.GVR()] = r.borrow(rule.GVR())
	}
	return decorator.New(o)
}

func (r *Replica) hook(c *hook.Config) (hook.Caller, error) {
	h, err := hook.New(c)
	if err != nil {
		return nil, err
	}
	r.hooks = append(r.hooks, h)
	return h, nil
}

func (r *Replica) borrow(gvr schema.GroupVersionResource) *informers.Informer {
	i := r.group.Informer(gvr)
	r.borrowed = append(r.borrowed, i)
	return i
}

// Run takes part in the group until ctx is done, then hands over and returns
// nil if that succeeded.
func (r *Replica) Run(ctx context.Context) error {
	defer func() {
		for _, i := range r.borrowed {
			i.Release()
		}
		for _, h := range r.hooks {
			h.Close()
		}
	}()
	klog.FromContext(ctx).Info("Serving health and metrics", "address", r.listener.Addr().String())
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	g, serving := errgroup.WithContext(serving)
	g.Go(func() error { return serve(serving, r.listener, r.handler()) })
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

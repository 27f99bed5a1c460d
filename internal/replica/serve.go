// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/dashboard"
	"github.com/shardctl/shardctl/internal/endpoint"
	"github.com/shardctl/shardctl/internal/version"
	"github.com/shardctl/shardctl/pkg/shard"
)

// service is what a replica serves by HTTP.
type service struct {
	listener  net.Listener
	endpoint  *endpoint.Endpoint
	dashboard *dashboard.Dashboard
}

// serve makes the endpoint of the replica in the Pod self. It listens already.
func (r *Replica) serve(ctx context.Context, rc *rest.Config, cfg *config.Config, self string, o Options) (*service, error) {
	board, err := dashboard.New(dashboard.Options{
		Group: cfg.Name, Namespace: r.namespace, Self: self, Version: version.String(), Leases: r.group.Leases,
	})
	if err != nil {
		return nil, err
	}
	var reviewer *endpoint.Reviewer
	if len(cfg.HTTPProtect) > 0 {
		if reviewer, err = endpoint.NewReviewer(rc); err != nil {
			return nil, err
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.HTTPAddress)
	if err != nil {
		return nil, fmt.Errorf("spec.http.address: %w: use another address or port", err)
	}
	e, err := endpoint.New(endpoint.Options{
		Listener: listener, TLS: cfg.HTTPTLS, Protect: cfg.HTTPProtect, Reviewer: reviewer,
		Gatherer: r.registry, Registerer: r.registry,
		Live: checks(r.group.LiveChecks()), Ready: checks(r.group.ReadyChecks()),
		Dashboard: board.Handler(), Pprof: o.Pprof,
	})
	if err != nil {
		_ = listener.Close() // nothing was served
		return nil, err
	}
	return &service{listener: listener, endpoint: e, dashboard: board}, nil
}

// run serves until ctx is done.
func (s *service) run(ctx context.Context) error {
	klog.FromContext(ctx).Info("Serving health and metrics", "address", s.endpoint.Addr())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.endpoint.Run(ctx) })
	g.Go(func() error { return s.dashboard.Run(ctx) })
	return g.Wait()
}

// checks are those of a group, for the endpoint, which knows no groups.
func checks(of []shard.Check) []endpoint.Check {
	all := make([]endpoint.Check, len(of))
	for i, c := range of {
		all[i] = endpoint.Check(c)
	}
	return all
}

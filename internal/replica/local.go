// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/endpoint"
	"github.com/shardctl/shardctl/internal/leadership"
)

// localEndpoint is where the replica's neighbours ask who leads. It listens as soon as a
// configuration calls for it, which may be while the replica runs, and from then on until
// the end.
type localEndpoint struct {
	rc      *rest.Config
	config  config.Leadership
	options leadership.Options // but for what opening it finds out
	roles   atomic.Pointer[[]leadership.Role]

	opening sync.Mutex // held while it is opened
	// open is closed once endpoint is there.
	open     chan struct{}
	endpoint *leadership.Endpoint
}

func newLocalEndpoint(rc *rest.Config, cfg *config.Config, o leadership.Options) *localEndpoint {
	l := &localEndpoint{rc: rc, config: cfg.Leadership, options: o, open: make(chan struct{})}
	l.options.Root = cfg.Leadership.Root
	l.options.TLS = cfg.Leadership.TLS
	l.options.Roles = func() []leadership.Role { return *l.roles.Load() }
	l.knows(cfg)
	return l
}

// knows says which roles there are from now on.
func (l *localEndpoint) knows(cfg *config.Config) {
	roles := []leadership.Role{}
	for _, r := range cfg.Roles {
		switch {
		case r.Lead != nil:
			roles = append(roles, leadership.Role{Name: r.Name, Kind: leadership.Leadership, Grace: r.Lead.Grace, Acknowledge: r.Lead.Acknowledge})
		case r.Schedule != nil:
			roles = append(roles, leadership.Role{Name: r.Name, Kind: leadership.Schedule})
		case r.Exec != nil:
			roles = append(roles, leadership.Role{Name: r.Name, Kind: leadership.Exec})
		}
	}
	l.roles.Store(&roles)
}

// listen has it listen if the configuration calls for that, and it does not yet.
func (l *localEndpoint) listen(ctx context.Context, cfg *config.Config) error {
	l.opening.Lock()
	defer l.opening.Unlock()
	if !cfg.ServesLeadership() || l.endpoint != nil {
		return nil
	}
	o := l.options
	var err error
	if l.config.Authorization {
		if o.Reviewer, err = endpoint.NewReviewer(l.rc); err != nil {
			return err
		}
	}
	if o.Listener, err = new(net.ListenConfig).Listen(ctx, "tcp", l.config.Address); err != nil {
		return fmt.Errorf("spec.leadership.address: %w: use another address or port, or none", err)
	}
	made, err := leadership.New(o)
	if err != nil {
		_ = o.Listener.Close() // nothing was served
		return err
	}
	l.endpoint = made
	close(l.open)
	return nil
}

// run serves, once it listens, until ctx is done.
func (l *localEndpoint) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-l.open:
	}
	klog.FromContext(ctx).Info("Serving who leads", "address", l.endpoint.Addr())
	return l.endpoint.Run(ctx)
}

// lead is the work of a leadership role. Without an endpoint there is nobody to be told of
// it: then the Lease alone says who leads.
func (l *localEndpoint) lead(role string) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-l.open:
			return l.endpoint.Lead(role)(ctx)
		}
	}
}

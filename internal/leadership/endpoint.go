// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/internal/endpoint"
)

// Endpoint serves who leads the roles of a group.
type Endpoint struct {
	backend               Backend
	group, namespace, pod string
	roles                 func() []Role
	root                  string

	journal *journal
	streams chan struct{} // those that are open
	handler http.Handler
	server  *endpoint.Endpoint
}

// New makes an endpoint. It does not answer before [Endpoint.Run].
func New(o Options) (*Endpoint, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	e := &Endpoint{
		backend: o.Backend, group: o.Group, namespace: o.Namespace, pod: o.Pod, roles: o.Roles, root: o.Root,
		journal: newJournal(o.Backend.Chronicle(), o.Roles),
		streams: make(chan struct{}, maxStreams),
	}
	e.handler = admit(endpoint.Local(o.Listener.Addr()), o.Reviewer, e.routes())
	var err error
	if e.server, err = endpoint.NewFor(o.Listener, "spec.leadership.tls", o.TLS, e.handler); err != nil {
		return nil, err
	}
	return e, nil
}

// Addr is the address that it listens on, as host:port.
func (e *Endpoint) Addr() string { return e.server.Addr() }

// Handler is what it serves, whether or not it runs.
func (e *Endpoint) Handler() http.Handler { return e.handler }

// Run serves until ctx is done. Streams are told of the end of what is granted still, and
// end. So that programs hear how their roles are given away, ctx should be done only once
// the group has left.
func (e *Endpoint) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.server.Run(ctx) })
	g.Go(func() error { return e.journal.followLoop(ctx) })
	return g.Wait()
}

// role returns one of the configuration.
func (e *Endpoint) role(name string) (Role, bool) {
	for _, role := range e.roles() {
		if role.Name == name {
			return role, true
		}
	}
	return Role{}, false
}

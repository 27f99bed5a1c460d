// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/shardctl/shardctl/internal/endpoint"
)

// Kind is what a role of the configuration does while it is led.
type Kind string

// The kinds. Only [Leadership] is granted and revoked by events; of the others it can be
// asked who leads them.
const (
	Leadership Kind = "leadership"
	Schedule   Kind = "schedule"
	Exec       Kind = "exec"
)

// Role is one of the configuration that is in one piece, and so has one leader.
type Role struct {
	// Name is the shard's name.
	Name string
	Kind Kind
	// Grace is for how long a [Leadership] role is kept after revoked was told, if nobody
	// acknowledges it. It is not for other kinds.
	Grace time.Duration
	// Acknowledge has the role handed over as soon as a program says that it has stopped.
	Acknowledge bool
}

// Options of an [Endpoint]. Backend, Listener and Roles are required.
type Options struct {
	// Backend is the group that is told of: see [Of].
	Backend Backend
	// Group and Namespace name it, Pod this replica's Pod.
	Group, Namespace, Pod string
	// Roles returns those of the configuration now. It is asked all the time, so it should
	// return what is there. It must not ask the endpoint anything.
	Roles func() []Role
	// Root is the role whose leader GET / names. Default: the only leadership role, if
	// there is one.
	Root string

	// Listener is where it serves. Run closes it.
	Listener net.Listener
	// TLS names the files of a certificate and its key. Without, it serves in the clear.
	TLS endpoint.Files
	// Reviewer, if set, says who may do what: the verbs get and post on each path. Required
	// unless only this machine reaches the Listener.
	Reviewer *endpoint.Reviewer
}

func (o *Options) validate() error {
	var errs []error
	if o.Backend == nil {
		errs = append(errs, errors.New("backend: is missing: pass the group"))
	}
	if o.Roles == nil {
		errs = append(errs, errors.New("roles: is missing: pass what returns those of the configuration"))
	}
	switch {
	case o.Listener == nil:
		errs = append(errs, errors.New("listener: is missing: pass one on a loopback address"))
	case o.Reviewer == nil && !endpoint.Local(o.Listener.Addr()):
		errs = append(errs, fmt.Errorf("spec.leadership.address: everybody who reaches %s could give up roles: "+
			"use a loopback address, or set spec.leadership.authorization to true", o.Listener.Addr()))
	}
	if len(errs) > 0 {
		return fmt.Errorf("leadership options: %w", errors.Join(errs...))
	}
	return nil
}

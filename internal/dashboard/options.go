// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"errors"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// Options of a dashboard. Group, Namespace and Leases are required.
type Options struct {
	// Group is the name of the group that is shown, Namespace that of its Leases.
	Group, Namespace string
	// Self is the name of this replica's Pod.
	Self string
	// Version of the program; the page leaves it out if it is empty.
	Version string
	// Leases returns the group's Leases, which are only read, and a channel that is
	// closed as soon as there is something newer: see shard.Group.Leases. Until the
	// first list of them it returns none.
	Leases func() (leases []coordinationv1.Lease, changed <-chan struct{})
}

func (o Options) validate() error {
	var errs []error
	if o.Group == "" {
		errs = append(errs, errors.New("group: is missing: name the group that is shown"))
	}
	if o.Namespace == "" {
		errs = append(errs, errors.New("namespace: is missing: name that of the group's Leases"))
	}
	if o.Leases == nil {
		errs = append(errs, errors.New("leases: is missing: pass the Leases method of the group"))
	}
	if len(errs) > 0 {
		return fmt.Errorf("dashboard options: %w", errors.Join(errs...))
	}
	return nil
}

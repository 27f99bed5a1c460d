// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Live says why the process should be restarted, or nil: work that ignores its
// context past the DrainTimeout keeps a shard from moving.
func (g *Group) Live() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var stuck []string
	for t := range g.tenures {
		if t.overdue(g.opts.DrainTimeout) {
			stuck = append(stuck, t.term.Shard())
		}
	}
	if len(stuck) == 0 {
		return nil
	}
	slices.Sort(stuck)
	return fmt.Errorf("drain: work ignores its context and keeps %s", strings.Join(slices.Compact(stuck), ", "))
}

// Ready says why the replica cannot take every shard now, or nil: its session
// has to be valid and its caches complete. A type that the API server does not
// serve is not held against it.
func (g *Group) Ready() error {
	g.mu.Lock()
	driver, controllers := g.driver, g.controllers
	g.mu.Unlock()
	if driver == nil {
		return errors.New("group: not started")
	}
	var errs []error
	if !driver.Valid() {
		errs = append(errs, errors.New("session: not valid: no heartbeat of this replica has come back on its watch of the group's Leases lately"))
	}
	for _, c := range controllers {
		if reason := c.unready(); reason != "" {
			errs = append(errs, fmt.Errorf("caches: controller %s waits for %s", c.Name, reason))
		}
	}
	return errors.Join(errs...)
}

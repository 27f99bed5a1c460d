// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Live says why the process should be restarted, or nil: work that ignores its
// context past the DrainTimeout keeps a shard from moving.
func (g *Group) Live() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.stuck) == 0 {
		return nil
	}
	return fmt.Errorf("drain: a reconcile ignores its context and keeps %s", strings.Join(slices.Sorted(maps.Keys(g.stuck)), ", "))
}

// Ready says why the replica cannot take every shard yet, or nil. A type that
// the API server does not serve is not held against it.
func (g *Group) Ready() error {
	g.mu.Lock()
	started, controllers := g.started, g.controllers
	g.mu.Unlock()
	if !started {
		return errors.New("group: not started")
	}
	var errs []error
	for _, c := range controllers {
		if reason := c.unready(); reason != "" {
			errs = append(errs, fmt.Errorf("caches: controller %s waits for %s", c.Name, reason))
		}
	}
	return errors.Join(errs...)
}

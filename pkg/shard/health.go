// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Check is one thing that has to be well with a replica.
type Check struct {
	Name string
	// Check says what is wrong, or returns nil. It returns at once, and is safe for
	// concurrent use.
	Check func() error
}

// LiveChecks are those whose failure only a new process will mend:
//
//   - loop: the election's loop has something to do, but has not got to it for a
//     RenewDeadline;
//   - renewal: a renewal was neither answered nor given up a RenewDeadline after its
//     time-out;
//   - drain: work ignores its context past the DrainTimeout, and keeps a shard from
//     moving, or what has replaced it from beginning.
//
// An API server that does not answer makes none of them fail.
func (g *Group) LiveChecks() []Check {
	return []Check{{"loop", g.loopStuck}, {"renewal", g.renewalStuck}, {"drain", g.drainStuck}}
}

// ReadyChecks are those that fail while the replica cannot take every shard:
//
//   - session: it has none that is valid;
//   - caches: those of a controller are not complete. A type that the API server does
//     not serve is not held against it;
//   - leaving: it hands everything over, and ends.
func (g *Group) ReadyChecks() []Check {
	return []Check{{"session", g.sessionOver}, {"caches", g.cachesIncomplete}, {"leaving", g.leaving}}
}

// Live says why the process should be restarted, or nil: all of the LiveChecks that
// fail.
func (g *Group) Live() error { return unwell(g.LiveChecks()) }

// Ready says why the replica cannot take every shard now, or nil: all of the
// ReadyChecks that fail.
func (g *Group) Ready() error { return unwell(g.ReadyChecks()) }

func unwell(checks []Check) error {
	var errs []error
	for _, c := range checks {
		if err := c.Check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// errNotStarted: there is nothing yet that could be well.
var errNotStarted = errors.New("the group has not been started")

// election is the driver, nil before Run has made it.
func (g *Group) election() *lease.Driver {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.driver
}

func (g *Group) loopStuck() error {
	d := g.election()
	if d == nil {
		return nil
	}
	loop, _ := d.Stuck()
	return loop
}

func (g *Group) renewalStuck() error {
	d := g.election()
	if d == nil {
		return nil
	}
	_, renewal := d.Stuck()
	return renewal
}

func (g *Group) drainStuck() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var stuck []string
	for t := range g.tenures {
		if t.overdue(g.opts.DrainTimeout) {
			stuck = append(stuck, t.term.Shard())
		}
	}
	for _, s := range g.retiring {
		if s.overdue(g.opts.DrainTimeout) {
			stuck = append(stuck, "what has replaced "+s.name)
		}
	}
	if len(stuck) == 0 {
		return nil
	}
	slices.Sort(stuck)
	return fmt.Errorf("work ignores its context and keeps %s", strings.Join(slices.Compact(stuck), ", "))
}

func (g *Group) sessionOver() error {
	switch d := g.election(); {
	case d == nil:
		return errNotStarted
	case !d.Valid():
		return errors.New("not valid: no heartbeat of this replica has come back on its watch of the group's Leases lately")
	}
	return nil
}

func (g *Group) cachesIncomplete() error {
	var errs []error
	for _, c := range g.current().controllers {
		if reason := c.unready(); reason != "" {
			errs = append(errs, fmt.Errorf("controller %s waits for %s", c.Name, reason))
		}
	}
	return errors.Join(errs...)
}

func (g *Group) leaving() error {
	if g.departing.Load() {
		return errors.New("the replica hands over what it holds, and ends")
	}
	return nil
}

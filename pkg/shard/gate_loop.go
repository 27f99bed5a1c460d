// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/pkg/lease"
)

// gateJitter is by which part an interval is longer at most.
const gateJitter = 0.1

// gate is a Gate at work.
type gate struct {
	Gate

	mu sync.Mutex
	// closed says why it is; empty while it is open.
	closed string
}

// newGate returns nil for what has none.
func newGate(g *Gate) *gate {
	if g == nil {
		return nil
	}
	made := &gate{Gate: *g, closed: "not checked yet"}
	made.setDefaults()
	return made
}

// problem is why the replica is not fit, for people; empty if it is, or has no gate.
func (g *gate) problem() string {
	if g == nil {
		return ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == "" {
		return ""
	}
	return shorten("not fit: " + g.closed)
}

func (g *gate) note(closed string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
}

// gateLoop has the group decline the role while its gate is closed. It is run for as long as
// the role belongs to the group. A role that takes the place of another begins as that was
// left: a new configuration is no reason for a role to move.
func (r *role) gateLoop(ctx context.Context, g *Group) error {
	start := func(f func() error) { g.tasks.Go(f) }
	return r.gate.keep(klog.NewContext(ctx, klog.FromContext(ctx).WithValues("role", r.Name)), start, g.fit(r.Name), func(fit bool) {
		g.judge(r, fit)
	})
}

// judge takes in what the gate of a role says. One that was removed meanwhile has no say any
// more: if what has replaced it has no gate, nobody would ever take that back.
func (g *Group) judge(r *role, fit bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case r.service.over.Err() != nil:
	case fit:
		g.declining.accept(r.Name, lease.CauseUnfit)
	default:
		g.declining.decline(r.Name, lease.CauseUnfit, time.Time{})
	}
}

// fit tells whether the gate of a role was last known to be open.
func (g *Group) fit(role string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, unfit := g.declining.roles[role][lease.CauseUnfit]
	return !unfit
}

// keep checks, and says after each check whether the gate is open, until ctx is done. It says
// so even if nothing has changed, since the gate before this one may have spoken last.
func (g *gate) keep(ctx context.Context, start func(func() error), open bool, say func(open bool)) error {
	log := klog.FromContext(ctx)
	judge := debounce{failures: g.FailureThreshold, successes: g.SuccessThreshold, open: open}
	if open {
		g.note("")
	}
	checks := checker{check: g.Check, timeout: g.Timeout, start: start}
	for told := false; ctx.Err() == nil; {
		next := time.After(wait.Jitter(g.Interval, gateJitter))
		err := checks.once(ctx)
		if ctx.Err() != nil {
			break
		}
		changed := judge.take(err == nil)
		closed := reasonOf(judge, err)
		g.note(closed)
		say(judge.open)
		switch {
		case told && !changed:
		case judge.open:
			log.Info("The gate is open: this replica may take the role")
		default:
			log.Info("The gate is closed: this replica does not take the role, and gives it up if it holds it", "because", closed)
		}
		told = true
		select {
		case <-ctx.Done():
		case <-next:
		}
	}
	if !checks.await(abandonAfter) {
		log.Error(nil, "The check of a gate ignores its context, and is left behind")
	}
	return nil
}

// reasonOf says why a gate is closed, after a check; empty if it is open.
func reasonOf(d debounce, err error) string {
	switch {
	case d.open:
		return ""
	case err != nil:
		return err.Error()
	default:
		return fmt.Sprintf("%d of %d checks in a row have succeeded", d.against, d.successes)
	}
}

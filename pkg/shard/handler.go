// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/lease"
)

// handler is what the group does about the election's decisions. Its methods
// run on the driver's goroutine and return at once.
type handler Group

// Granted starts a tenure of the shard.
func (h *handler) Granted(record lease.Term, v *lease.Validity) {
	g := (*Group)(h)
	g.recorder.acquired(record)
	g.mu.Lock()
	g.granted++
	g.metrics.granted(record) // under the lock: that an earlier term of the shard has drained must not come after
	t := newTenure(g.base, g.granted, record, v)
	t.term.enter = g.driver.Enter
	t.onFirst = func(at time.Time) { g.metrics.began(record, at) }
	g.tenures[t] = true
	g.mu.Unlock()
	klog.FromContext(t.ctx).Info("Promoted", "cause", record.How, "identity", record.Identity)
	g.tasks.Go(func() error {
		g.serve(t)
		return nil
	})
}

// serve works for one term, and reports that it has ended.
func (g *Group) serve(t *tenure) {
	g.awaitCarried(t)
	g.mu.Lock() // whoever changes the duties finds the tenure begun, or not yet
	t.begin(g.roster.duties(t.term.record.Family), g.opts.DrainGrace)
	g.mu.Unlock()
	drained := t.run(g.opts.DrainTimeout, func() {
		klog.FromContext(t.ctx).Error(nil, "Work ignores its context: the shard cannot be handed over before it has returned", "after", g.opts.DrainTimeout)
	})
	g.mu.Lock()
	delete(g.tenures, t)
	held := g.tenureOf(func(other *tenure) bool { return other.term.Shard() == t.term.Shard() }) != nil
	g.metrics.drained(t.term.Shard(), drained, held)
	g.mu.Unlock()
	g.driver.Drained(lease.Drained{Term: t.term.record, Wrote: t.term.wrote(), Ledger: t.term.lastWord()})
}

// tenureOf finds a tenure whose work has not ended, or nil; g.mu is held.
func (g *Group) tenureOf(is func(*tenure) bool) *tenure {
	for t := range g.tenures {
		if is(t) {
			return t
		}
	}
	return nil
}

// carriedPause is how often the caches are looked at until a term may begin.
const carriedPause = 5 * time.Millisecond

// awaitCarried waits until the caches show what the last holder wrote, or for
// long enough.
func (g *Group) awaitCarried(t *tenure) {
	carried, granted := t.term.record.Carried, time.Now()
	promotion := work.Behind
	decided := func(context.Context) (bool, error) {
		promotion = work.Promote(carried, g.current().caches(t.term.record.Family), time.Since(granted))
		return promotion != work.Behind, nil
	}
	// What ends the wait before is the end of the term, of which others tell.
	_ = wait.PollUntilContextCancel(t.taking, carriedPause, true, decided)
	if promotion == work.Overdue {
		klog.FromContext(t.ctx).Info("Starting with caches that do not show all that the last holder wrote", "carried", carried)
	}
}

// Revoked ends a tenure: at once, or by and by.
func (h *handler) Revoked(r lease.Revoked) {
	g := (*Group)(h)
	g.metrics.revoked(r)
	g.recorder.lost(r)
	log := klog.FromContext(g.base).WithValues("shard", r.Term.Shard, "epoch", r.Term.Epoch)
	if r.Graceful {
		log.Info("Draining", "cause", r.Cause, "successor", r.Successor)
	} else {
		log.Info("Demoted", "cause", r.Cause)
	}
	g.mu.Lock()
	t := g.tenureOf(func(t *tenure) bool {
		have := t.term.record
		return have.Shard == r.Term.Shard && have.UID == r.Term.UID && have.Epoch == r.Term.Epoch
	})
	g.mu.Unlock()
	if t == nil {
		return // its work noticed by itself that the validity had passed
	}
	if !r.Graceful {
		t.end(fmt.Errorf("%w: %s", ErrTermOver, r.Cause))
		return
	}
	t.drain(fmt.Errorf("%w: %s", ErrHandedOver, r.Cause), g.opts.DrainGrace)
}

// Noted logs the rest, and counts it.
func (h *handler) Noted(e lease.Effect) {
	h.metrics.noted(e, h.opts.Clock)
	log := klog.FromContext(h.base)
	switch e := e.(type) {
	case lease.Passed:
		h.recorder.passed(e)
		log.Info("Handed over", "shard", e.Term.Shard, "epoch", e.Term.Epoch, "cause", e.Cause, "successor", e.Successor)
	case lease.Ended:
		log.Info("Ended the session of a replica that is dead, or shows no sign of life", "identity", e.Identity, "reason", e.Reason)
	case lease.Began:
		log.Info("The session is over, going on as a new one", "identity", e.Identity)
	case lease.Emptied:
		log.Info("Replicas of a newer revision hold all that this one could", "emptied", e.Yes)
		if h.cost != nil {
			h.cost.wanted.say(e.Yes)
			h.reviser.emptied.say(e.Yes)
		}
	case lease.Refused:
		log.Error(nil, "The API server refuses a request on a Lease", "verb", e.Op.Verb, "lease", e.Op.Name, "for", e.Op.Why, "reason", e.Reason)
	case lease.Left:
		log.Info("Left the group")
	}
}

// Requested counts a request on a Lease.
func (h *handler) Requested(verb lease.Verb, o lease.Outcome, took time.Duration) {
	h.metrics.requested(verb, o, took)
}

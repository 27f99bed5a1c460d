// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
)

// renewal is how a term in lease mode is kept: by writing its own Lease, by the
// standard rules, at every RenewInterval. Such a term is valid no longer than
// the session, which its holder's view depends on, and no longer than the
// RenewDeadline since the send of the last renewal that is known committed.
type renewal struct {
	sent  attempts // claims and renewals that may still extend the validity
	until Instant  // validity of the term by its own Lease
	next  Instant  // when the next renewal is due
}

// byItself makes what is about to be written into a shard Lease a claim, by
// this session, that is renewed by itself.
func (e *Election) byItself(c *claim, l *coordinationv1.Lease) {
	number := e.nextAttempt()
	c.sent.add(number, e.now)
	l.Annotations = annotate(l.Annotations, map[string]string{
		AnnotationSession: "", AnnotationDuration: "", AnnotationAttempt: number,
	})
	l.Spec.LeaseDurationSeconds = ptr.To(int32(e.cfg.Timings.LeaseDuration / time.Second))
}

// renewedUntil is how long the attempt of that number keeps a term valid; zero
// if it is none of this process.
func (e *Election) renewedUntil(c *claim, number string) Instant {
	at, ok := c.sent.find(number)
	if !ok {
		return 0
	}
	return at.Add(e.cfg.Timings.RenewDeadline)
}

// confirmTerm extends the validity of a term by the renewal that the watch has
// shown (R6a, R9).
func (e *Election) confirmTerm(c *claim, known *entry) {
	if c.term.Mode != LeaseMode {
		return
	}
	number := e.shownAttempt(known, known.shard.Attempt, c.sent)
	if e.renewedUntil(c, number) > e.now {
		e.extendTerm(c, number)
	}
}

func (e *Election) extendTerm(c *claim, number string) {
	at, _ := c.sent.find(number)
	c.until = max(c.until, at.Add(e.cfg.Timings.RenewDeadline))
	c.next = max(c.next, at.Add(e.cfg.Timings.RenewInterval))
	c.sent.forget(number)
	e.emit(Extended{Shard: c.shard, Until: c.until, Sent: at})
}

// renewTerm sends the renewal of a term when it is due.
func (e *Election) renewTerm(c *claim, known *entry) {
	if c.term.Mode != LeaseMode {
		return
	}
	e.wakeAt(c.until)
	if e.now < c.next {
		e.wakeAt(c.next)
		return
	}
	if !e.free(known.lease.Name) {
		return
	}
	e.sendRenewal(c, known, "renew")
}

func (e *Election) sendRenewal(c *claim, known *entry, why string) {
	c.next = e.now.Add(e.cfg.Timings.RenewInterval)
	e.wakeAt(c.next)
	op := Op{Verb: Update, Name: known.lease.Name, Lease: known.lease.DeepCopy(), Stamp: StampRenew, Keeps: true, Why: why}
	e.byItself(c, op.Lease)
	c.withEntry(e.now, op.Lease)
	epoch := c.term.Epoch
	e.send(op, func(r Replied) {
		c.sent.committed(op.Lease.Annotations[AnnotationAttempt], r)
		if r.Outcome != OK && c.phase != idle && c.term.Epoch == epoch {
			c.next = min(c.next, e.now) // as soon as the back-off is over
		}
	})
}

// expireTerms ends the terms whose own Leases were not renewed in time. The
// session goes on, and may claim such a shard anew, at the next epoch.
func (e *Election) expireTerms() {
	if e.cfg.Mode != LeaseMode {
		return
	}
	for _, c := range e.order {
		if c.phase != idle && c.term.Mode == LeaseMode && e.now >= c.until {
			c.revoke(e, CauseLapsed)
		}
	}
}

// modeOf says how a live member renews what it holds.
func (e *Election) modeOf(identity string) Mode {
	switch m := e.memberOf(identity); {
	case identity == e.Identity():
		return e.cfg.Mode
	case m == nil:
		return SessionMode
	default:
		return m.member.Mode
	}
}

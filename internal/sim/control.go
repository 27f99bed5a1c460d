// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Control is a number of client-go's electors that contend for one Lease, on the
// same server and under the same faults of the network as the replicas. It shows
// that the simulator finds what is known to be wrong: client-go's elector counts
// the time for which it leads from the moment it reads the reply to a renewal,
// not from the moment it sent it, so that a slow reply followed by a partition
// gives two leaders, however well the clocks agree. Processes are never paused
// here: an elector without a fence has two leaders then in any case.
type Control struct {
	// FromSend counts from the send instead.
	FromSend bool
	Electors []*Elector
	// Overlaps counts how often one began to lead while another did; Longest is
	// for how long they led together at most.
	Overlaps int
	Longest  time.Duration
	// Terms counts how often anybody began to lead.
	Terms int

	w *World
}

// ClientGo are the timings that client-go documents; RenewInterval is its
// RetryPeriod.
var ClientGo = lease.Timings{LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RenewInterval: 2 * time.Second}

// jitterFactor is client-go's: a candidate waits up to 2.2 RetryPeriods.
const jitterFactor = 1.2

// controlLease is the Lease that they contend for.
const controlLease = "client-go"

// NewControl returns one without electors.
func NewControl(w *World, fromSend bool) *Control { return &Control{FromSend: fromSend, w: w} }

// Elector is one process with client-go's elector, as of v0.37.2: the loops of
// tools/leaderelection/leaderelection.go as callbacks. A process that stops
// leading exits, and starts anew under another identity.
type Elector struct {
	Link
	Name    string
	Leading bool

	c        *Control
	clock    Clock
	chance   source
	starts   int
	identity string

	// What it observed: the Lease, and since when it has not changed.
	observed   *coordinationv1.Lease
	observedAt lease.Instant
	confirmed  lease.Instant // send of the newest request that succeeded
	since      time.Duration // when it began to lead

	round int // of the renewal loop: answers of earlier ones come too late
}

// Start starts a process on a machine with that clock.
func (c *Control) Start(name string, clock Clock) *Elector {
	e := &Elector{Name: name, c: c, clock: clock, chance: c.w.newSource()}
	c.Electors = append(c.Electors, e)
	e.start()
	return e
}

func (e *Elector) start() {
	e.starts++
	e.identity = fmt.Sprintf("%s/%d", e.Name, e.starts)
	e.observed, e.observedAt = nil, 0
	e.round++
	e.acquire(e.round)
}

func (e *Elector) now() lease.Instant { return e.clock.At(e.c.w.now) }

// at makes something happen once its clock shows i, in this round only.
func (e *Elector) at(i lease.Instant, round int, do func()) {
	e.c.w.agenda.add(max(e.c.w.now, e.clock.When(i)), func() {
		if round == e.round {
			do()
		}
	})
}

// acquire tries until it leads: LeaderElector.acquire.
func (e *Elector) acquire(round int) {
	e.tryAcquireOrRenew(round, func(ok bool) {
		if ok {
			e.lead()
			return
		}
		wait := ClientGo.RenewInterval + time.Duration(e.chance.rng.Float64()*jitterFactor*float64(ClientGo.RenewInterval))
		e.at(e.now().Add(wait), round, func() { e.acquire(round) })
	})
}

// lead begins to: the callback OnStartedLeading.
func (e *Elector) lead() {
	w := e.c.w
	w.logf(e.Name, "leads")
	for _, other := range e.c.Electors {
		if other.Leading {
			e.c.Overlaps++
			w.logf("*", "%s and %s both lead", e.Name, other.Name)
		}
	}
	e.c.Terms++
	e.Leading, e.since = true, w.now
	e.renew()
}

// renew is one round of LeaderElector.renew: it tries every RetryPeriod, and
// stops leading once it has not succeeded for a RenewDeadline.
func (e *Elector) renew() {
	e.round++
	round := e.round
	deadline := e.now().Add(ClientGo.RenewDeadline)
	if e.c.FromSend {
		deadline = e.confirmed.Add(ClientGo.RenewDeadline)
	}
	e.at(deadline, round, e.stop)
	e.poll(round, e.now())
}

// poll tries now, and at the next tick since the round began.
func (e *Elector) poll(round int, tick lease.Instant) {
	e.tryAcquireOrRenew(round, func(ok bool) {
		if !ok {
			for tick <= e.now() {
				tick = tick.Add(ClientGo.RenewInterval)
			}
			e.at(tick, round, func() { e.poll(round, tick) })
			return
		}
		e.round++ // the deadline of this round does not count any more
		next := e.round
		if e.c.FromSend {
			e.at(e.confirmed.Add(ClientGo.RenewDeadline), next, e.stop)
		}
		e.at(e.now().Add(ClientGo.RenewInterval), next, e.renew)
	})
}

// stop stops leading: the callback OnStoppedLeading; the process exits.
func (e *Elector) stop() {
	w := e.c.w
	w.logf(e.Name, "stops leading")
	for _, other := range e.c.Electors {
		if other != e && other.Leading {
			together := w.now - max(e.since, other.since)
			e.c.Longest = max(e.c.Longest, together)
			w.logf("*", "%s and %s led together for %s", e.Name, other.Name, together)
		}
	}
	e.Leading = false
	e.round++
	e.at(e.now().Add(time.Second), e.round, e.start)
}

// tryAcquireOrRenew is LeaderElector.tryAcquireOrRenew: a leader renews by what
// it knows; whoever cannot reads first.
func (e *Elector) tryAcquireOrRenew(round int, done func(ok bool)) {
	if e.leads() && e.leaseValid() {
		e.request(round, e.update(), func(r lease.Replied, sent lease.Instant) {
			if r.Outcome != lease.OK {
				e.readFirst(round, done)
				return
			}
			e.succeeded(r.Lease, sent)
			done(true)
		})
		return
	}
	e.readFirst(round, done)
}

func (e *Elector) readFirst(round int, done func(ok bool)) {
	e.request(round, lease.Op{Verb: lease.Get, Name: controlLease}, func(r lease.Replied, _ lease.Instant) {
		var op lease.Op
		switch {
		case r.Outcome == lease.NotFound:
			op = e.update()
			op.Verb = lease.Create
		case r.Outcome != lease.OK:
			done(false)
			return
		default:
			if e.observed == nil || !sameRecord(e.observed, r.Lease) {
				e.observedAt = e.now()
			}
			e.observed = r.Lease
			if ptr.Deref(r.Lease.Spec.HolderIdentity, "") != "" && e.leaseValid() && !e.leads() {
				done(false)
				return
			}
			op = e.update()
		}
		e.request(round, op, func(r lease.Replied, sent lease.Instant) {
			if r.Outcome == lease.OK {
				e.succeeded(r.Lease, sent)
			}
			done(r.Outcome == lease.OK)
		})
	})
}

func (e *Elector) leads() bool {
	return e.observed != nil && ptr.Deref(e.observed.Spec.HolderIdentity, "") == e.identity
}

func (e *Elector) leaseValid() bool {
	duration := time.Duration(ptr.Deref(e.observed.Spec.LeaseDurationSeconds, 0)) * time.Second
	return e.observedAt.Add(duration) > e.now()
}

func (e *Elector) succeeded(l *coordinationv1.Lease, sent lease.Instant) {
	e.observed, e.observedAt, e.confirmed = l, e.now(), sent
}

// sameRecord compares what client-go calls the raw record.
func sameRecord(a, b *coordinationv1.Lease) bool {
	return ptr.Equal(a.Spec.HolderIdentity, b.Spec.HolderIdentity) && ptr.Equal(a.Spec.LeaseTransitions, b.Spec.LeaseTransitions) &&
		ptr.Equal(a.Spec.LeaseDurationSeconds, b.Spec.LeaseDurationSeconds) && a.Spec.RenewTime.Equal(b.Spec.RenewTime)
}

// update writes this elector as the holder.
func (e *Elector) update() lease.Op {
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: controlLease}}
	epoch := int32(0)
	if e.observed != nil {
		l.ObjectMeta = e.observed.ObjectMeta
		epoch = ptr.Deref(e.observed.Spec.LeaseTransitions, 0)
		if !e.leads() {
			epoch++
		}
	}
	l.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &e.identity, LeaseTransitions: &epoch,
		LeaseDurationSeconds: ptr.To(int32(ClientGo.LeaseDuration / time.Second)),
		RenewTime:            ptr.To(metav1.NewMicroTime(time.Unix(Epoch, 0).Add(e.c.w.now))),
	}
	l.Spec.HolderIdentity = ptr.To(e.identity)
	return lease.Op{Verb: lease.Update, Name: controlLease, Lease: l}
}

// request sends one, and hands over the outcome unless the round is over by
// then. It times out after half a RenewDeadline, as in Kubernetes' own
// components.
func (e *Elector) request(round int, op lease.Op, done func(r lease.Replied, sent lease.Instant)) {
	w, sent := e.c.w, e.now()
	answered := false
	answer := func(r lease.Replied) {
		if answered || round != e.round {
			return
		}
		answered = true
		w.logf(e.Name, "<- %s %s: %s", op.Verb, op.Name, r.Outcome)
		done(r, sent)
	}
	w.logf(e.Name, "-> %s %s", op.Verb, op.Name)
	e.at(sent.Add(ClientGo.RenewDeadline/2), round, func() { answer(lease.Replied{Outcome: lease.Unknown}) })
	f := e.drawFate(&e.chance)
	if f.Lost {
		return
	}
	w.after(f.Request, func() {
		reply := lease.Replied{Outcome: f.Refusal}
		if f.Refusal == lease.OK {
			reply.Outcome, reply.Lease = w.Server.Do(op)
		}
		if f.TimedOut {
			reply.Outcome = lease.Unknown
		}
		if !f.Mute {
			w.after(f.Reply, func() { answer(reply) })
		}
	})
}

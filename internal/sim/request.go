// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// request is one request of a process. Whatever becomes of it, its time-out
// answers if nothing else does.
type request struct {
	r        *Replica
	op       lease.Op
	sent     time.Duration
	timeout  lease.Instant
	answered bool
}

// resentWithin is how long it takes at most to send a request again, on another
// connection than the one that broke.
const resentWithin = 300 * time.Millisecond

// send sends a request.
func (r *Replica) send(op lease.Op) {
	w := r.w
	w.checkSend(r, op)
	r.underway[op.Name] = op.ID
	r.Rates.sent(r, op)
	q := &request{
		r: r, op: r.stamped(op), sent: w.now,
		timeout: r.now().Add(r.Config.Timings.RequestTimeout()),
	}
	f, ok := Fate{}, false
	if w.Fate != nil {
		f, ok = w.Fate(r, q.op)
	}
	if ok { // a given fate does not get past a cut
		f.Lost, f.Mute = f.Lost || w.now < r.CutRequests, f.Mute || w.now < r.CutReplies
	} else {
		f = r.drawFate(&r.requests)
		if r.requests.strikes(RequestRepeated, w.Faults.twice) {
			f.Again = Span{time.Millisecond, resentWithin}.draw(r.requests.rng)
		}
	}
	w.agenda.add(r.Clock.When(q.timeout), func() { q.answer(lease.Replied{ID: op.ID, Outcome: lease.Unknown}) })
	if f.Lost {
		return
	}
	if f.Again > 0 {
		second := f
		w.after(f.Request+f.Again, func() { q.arrive(second) })
		f.Mute = true
	}
	w.after(f.Request, func() { q.arrive(f) })
}

// arrive carries the request out, unless it is refused.
func (q *request) arrive(f Fate) {
	w := q.r.w
	if w.severed(q.sent) {
		return
	}
	reply := lease.Replied{ID: q.op.ID, Outcome: f.Refusal, RetryAfter: f.RetryAfter}
	if f.Refusal == lease.OK {
		before := w.Server.Lease(q.op.Name)
		w.writing = q.r
		reply.Outcome, reply.Lease = w.Server.Do(q.op)
		w.writing = nil
		w.checkWritten(q.r, q.op, before, reply)
	}
	if f.TimedOut {
		reply.Outcome, reply.Lease = lease.Unknown, nil
	}
	if !f.Mute {
		w.after(f.Reply, func() { q.answer(reply) })
	}
}

// answer brings the first answer to the process.
func (q *request) answer(reply lease.Replied) {
	r := q.r
	if q.answered || r.Gone {
		return
	}
	q.answered = true
	r.w.logReply(r, q.op, reply.Outcome)
	if r.paused {
		r.inbox = append(r.inbox, arrived{ev: reply, timeout: q.timeout})
		return
	}
	r.Deliver(reply)
	if r.requests.strikes(Repeated, r.w.Faults.repeated) {
		r.Deliver(reply)
	}
}

// stamped puts the wall-clock times into what is written, as the driver does.
func (r *Replica) stamped(op lease.Op) lease.Op {
	if op.Stamp == lease.StampNone {
		return op
	}
	l := *op.Lease
	op.Stamp.Set(&l, time.Unix(Epoch, 0).Add(r.w.now+r.wall).UTC().Truncate(time.Microsecond))
	op.Lease = &l
	return op
}

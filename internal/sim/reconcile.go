// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/lease"
)

// reconcile is one at work: it reads the cache, takes its time, and writes the
// status, or takes the finalizer away, if that is not done yet.
type reconcile struct {
	t    *tenure
	read object
	// found tells whether the cache had the object; it showed all changes up to
	// the resourceVersion shown.
	found bool
	shown uint64
	open  *write // under way
	// deaf: it ignores that its context was cancelled.
	deaf, returned bool
}

// reconcile starts one.
func (w *tenure) reconcile(key string) {
	in := w.c.in
	one := &reconcile{t: w, shown: in.shown}
	one.read, one.found = in.cache[key]
	one.read.key = key
	w.checkStart(key)
	w.c.running = append(w.c.running, one)
	takes := time.Duration(in.chance.rng.IntN(30)) * time.Millisecond
	if in.chance.chance(0.05) {
		takes = w.r.w.Faults.WorkReturns.draw(in.chance.rng)
		one.deaf = in.chance.chance(0.3)
	}
	w.r.after(takes, one.act)
}

// act ends a reconcile that has nothing to write, or writes.
func (one *reconcile) act() {
	desired := one.read
	switch {
	case one.returned:
	case one.t.cancelled && !one.deaf: // is about to return
	case !one.found:
		one.end(work.Succeeded)
	case desired.deleting && desired.finalizer:
		desired.finalizer = false
		one.write(desired)
	case desired.observed != desired.generation:
		desired.observed = desired.generation
		one.write(desired)
	default:
		one.end(work.Succeeded)
	}
}

// write sends a write. Some leave a goroutine behind, which sends it again when
// the reconcile has returned, or the work of its term has ended.
func (one *reconcile) write(o object) {
	in := one.t.c.in
	one.send(o)
	if in.chance.chance(0.02) {
		one.t.r.after(one.t.r.w.Faults.WorkReturns.draw(in.chance.rng), func() { one.send(o) })
	}
}

// interrupt makes a reconcile return because its context was cancelled.
func (one *reconcile) interrupt() {
	if !one.deaf {
		one.t.r.after(time.Duration(one.t.c.in.chance.rng.IntN(50))*time.Millisecond, func() { one.end(work.Interrupted) })
	}
}

// end returns.
func (one *reconcile) end(o work.Outcome) {
	if one.returned {
		return
	}
	one.returned = true
	t := one.t
	t.c.running = slices.DeleteFunc(t.c.running, func(other *reconcile) bool { return other == one })
	if t.cancelled {
		o = work.Interrupted
	}
	if o == work.Succeeded && t.valid() {
		t.c.in.of.reach(one.read.key, one.shown)
	}
	t.logReturned(one, o)
	t.returned(one.read.key, o)
}

// write is one that a reconcile sent through the fence.
type write struct {
	by   *reconcile
	done bool // answered, or given up by the fence
}

// giveUp is how long a reconcile awaits the answer to a write.
const giveUp = time.Second

// send sends a write through the fence, and what becomes of it: it is carried
// out or not, now or late, and its answer comes or not; or the connection breaks,
// which tells nothing. A reconcile that gives up leaves it under way.
func (one *reconcile) send(o object) {
	t := one.t
	r, w, in := t.r, t.r.w, t.c.in
	if !t.valid() || !t.writes.Send() {
		w.Checks.Work.Refused++
		one.end(work.Failed)
		return
	}
	t.checkSent(o)
	sent, sentAt := &write{by: one}, w.now
	one.open = sent
	t.open = append(t.open, sent)
	f := r.drawFate(&in.chance)
	r.after(giveUp, func() { one.end(work.Failed) })
	if (f.Lost || f.Mute) && in.chance.chance(0.5) {
		r.after(f.Request+f.Reply, func() { sent.answer(lease.Unknown, 0) })
	}
	if f.Lost {
		return
	}
	w.after(f.Request, func() {
		if w.severed(sentAt) {
			return
		}
		outcome, rv := f.Refusal, uint64(0)
		if outcome == lease.OK {
			outcome, rv = in.of.swap(o)
		}
		if outcome == lease.OK && f.TimedOut {
			outcome = lease.Unknown
		}
		if !f.Mute {
			r.after(f.Reply, func() { sent.answer(outcome, rv) })
		}
	})
}

// answer ends a write: its outcome is known, or never will be. Whoever awaits it
// goes on a moment later.
func (s *write) answer(o lease.Outcome, rv uint64) {
	if s.done {
		return
	}
	s.done = true
	one, t := s.by, s.by.t
	one.open = nil
	t.open = slices.DeleteFunc(t.open, func(other *write) bool { return other == s })
	t.writes.Answered()
	result := work.Failed
	switch o {
	case lease.OK:
		result = work.Succeeded
		t.writes.Wrote(t.c.in.of.resource, formatRV(rv))
		t.newest = max(t.newest, rv)
	case lease.Conflict, lease.NotFound:
		t.r.w.Checks.Work.Conflicts++
	default:
	}
	t.r.after(0, func() {
		one.end(result)
		t.settle()
	})
}

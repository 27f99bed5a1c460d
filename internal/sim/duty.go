// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
	"github.com/shardctl/shardctl/pkg/lease"
)

// duty is the schedule of one term: the machine that ships, and what pkg/shard is around
// it, in a goroutine of its own: what the election decides is carried out before the duty
// learns of it. Its process may be killed or paused before each effect.
type duty struct {
	t       *tenure
	s       *schedules
	machine *schedule.Machine
	inbox   []schedule.Event
	pending []schedule.Effect // decided, and not carried out
	looping bool
	owed    int // events that come when the process goes on

	draining bool // it was told to end
	told     bool // and so was the machine
	cut      bool // the contexts of its runs are cancelled
	returned bool
	entry    string // the one under way
	entering uint64 // its number; 0 if there is none
	last     *string
	runs     map[string]*run
	alarm    int // only the latest fires
}

// run is one under way.
type run struct {
	schedule.Firing
	// cancelled: its context is; replaced: for the next tick to take its place. over: it
	// has returned, or could not begin.
	cancelled, replaced, fails, over bool
}

// lookAgain is how often a schedule looks at the wall clock, as in pkg/shard.
const lookAgain = time.Minute

// beginDuty begins the schedule of a term.
func (w *tenure) beginDuty() {
	t := w.held.Term
	d := &duty{t: w, s: w.r.w.schedules, runs: map[string]*run{}}
	d.machine = schedule.New(d.s.spec, schedule.Term{
		Epoch: t.Epoch, Token: t.Token, Ledger: t.Ledger, Created: time.Unix(t.Token>>31, 0),
	})
	w.duty = d
	w.r.at(w.held.validity.end(), d.lapse)
	w.r.after(0, func() { d.post(schedule.Tick{}) })
}

// lapse cancels everything once the validity has passed, whether or not anybody says so.
func (d *duty) lapse() {
	switch {
	case d.returned:
	case d.t.valid():
		d.t.r.at(d.t.held.validity.end(), d.lapse)
	default:
		d.cancel()
	}
}

// wallClock is what the process's wall clock shows, which is set right now and then,
// whatever the rate of the other.
func (r *Replica) wallClock() time.Time { return time.Unix(Epoch, 0).UTC().Add(r.w.now + r.civil) }

// post tells the loop of an event.
func (d *duty) post(ev schedule.Event) {
	d.inbox = append(d.inbox, ev)
	d.loop()
}

// loop does what has been decided, and decides, until there is nothing more to do.
func (d *duty) loop() {
	if d.looping || d.returned {
		return
	}
	d.looping = true
	defer func() { d.looping = false }()
	for len(d.pending)+len(d.inbox) > 0 {
		if len(d.pending) == 0 {
			ev := d.inbox[0]
			d.inbox = d.inbox[1:]
			d.step(ev)
			continue
		}
		if d.s.disturb(d.t.r, d.before(d.pending[0])) || d.t.r.paused || d.t.r.Gone {
			d.t.r.awake(d.loop)
			return
		}
		e := d.pending[0]
		d.pending = d.pending[1:]
		d.carryOut(e)
	}
	d.settle()
}

// before is the step that an effect is.
func (d *duty) before(e schedule.Effect) step {
	switch e := e.(type) {
	case schedule.Enter:
		if d.claims(e.Text) {
			return beforeClaim
		}
		return beforeNote
	case schedule.Start:
		return beforeStart
	default:
		return afterEnd
	}
}

// claims tells whether a text claims a tick that this term has not started.
func (d *duty) claims(text string) bool {
	rec, err := schedule.Decode(text)
	return err == nil && rec.Claimed.Epoch == d.t.held.Epoch && d.s.tick(rec.Claimed.Tick).starts == 0
}

// step has the machine decide.
func (d *duty) step(ev schedule.Event) {
	switch ev := ev.(type) {
	case schedule.Entered:
		if ev.OK {
			entered := d.entry
			d.last = &entered // should the machine not come to its last word
		}
	case schedule.Ended:
		delete(d.runs, ev.Key)
	case schedule.Drain:
		d.told = true
	default:
	}
	now := d.t.r.wallClock()
	d.pending = d.machine.Step(now, ev)
	for _, e := range d.pending {
		d.s.checkDecided(d, now, e)
	}
	d.busy()
}

// busy tells the machine of the election whether a run goes on.
func (d *duty) busy() {
	if r, role := d.t.r, d.s.spec.Role; r.busy[role] != (len(d.runs) > 0) {
		r.callBusy(role, len(d.runs) > 0)
	}
}

// settle returns when all has ended, with the last word; else it sets the timer.
func (d *duty) settle() {
	if d.draining && len(d.runs) == 0 && d.entering == 0 && d.owed == 0 {
		d.returned = true
		last := d.machine.Ledger()
		d.last = &last
		d.t.endRole()
		return
	}
	pause := lookAgain
	if deadline := d.machine.Deadline(); !deadline.IsZero() {
		pause = min(max(deadline.Sub(d.t.r.wallClock()), time.Millisecond), lookAgain)
	}
	d.alarm++
	alarm := d.alarm
	d.t.r.after(pause+d.t.r.w.Faults.TimerSlack.draw(d.s.rng), func() {
		if alarm == d.alarm {
			d.post(schedule.Tick{})
		}
	})
}

func (d *duty) carryOut(e schedule.Effect) {
	r := d.t.r
	switch e := e.(type) {
	case schedule.Enter:
		r.w.asked++
		d.entry, d.entering = e.Text, r.w.asked
		r.entering[d.entering] = d
		r.Deliver(lease.Enter{ID: d.entering, Term: d.t.held.Term, Text: e.Text})
	case schedule.Start:
		d.start(e.Firing)
	case schedule.Stop:
		r.w.logf(r.Name, "stops %s", e.Key)
		one := d.runs[e.Key]
		one.replaced = true
		if one.over {
			d.s.ended(one) // it could not begin any more, and is not repeated either
		}
		d.interrupt(one)
	case schedule.Skipped:
		r.w.logf(r.Name, "passes over %d up to %s: %s", e.Count, e.Scheduled.Format(time.TimeOnly), e.Reason)
		d.s.skipped(e)
	case schedule.Finished, schedule.Unreadable, schedule.Ahead:
	}
}

// entered brings the answer to the entry under way.
func (r *Replica) entered(e lease.Entered) {
	d := r.entering[e.ID]
	delete(r.entering, e.ID)
	if d != nil {
		r.after(0, func() { d.answered(e) })
	}
}

func (d *duty) answered(e lease.Entered) {
	if d.entering != e.ID {
		return // it was given up
	}
	d.entering = 0
	if e.OK && !d.claims(d.entry) {
		d.s.disturb(d.t.r, afterNote)
	}
	d.postAwake(schedule.Entered{OK: e.OK})
}

// postAwake tells the loop of an event once the process is awake.
func (d *duty) postAwake(ev schedule.Event) {
	d.owed++
	d.t.r.awake(func() {
		d.owed--
		d.post(ev)
	})
}

// start begins a run, unless the term is over.
func (d *duty) start(f schedule.Firing) {
	r := d.t.r
	one := &run{Firing: f}
	d.runs[f.Key] = one
	if !d.t.valid() {
		one.over = true
		d.post(schedule.Ended{Key: f.Key, Err: "the term is over", Interrupted: true})
		return
	}
	r.w.logf(r.Name, "starts %s in epoch %d", f.Key, f.Epoch)
	d.s.started(d, f)
	takes := Span{0, d.s.period / 2}
	switch {
	case d.s.c.healed:
		takes = Span{0, 100 * time.Millisecond}
	case d.s.chance(0.25):
		takes = Span{0, 3 * d.s.period}
	case d.s.chance(0.1):
		takes = Exactly(horizon) // it hangs, until it is cancelled
	}
	one.fails = d.s.chance(0.25)
	r.after(takes.draw(d.s.rng), func() { d.end(one) })
	if d.cut {
		d.interrupt(one)
	}
	d.s.disturb(r, afterStart)
}

// end has a run return.
func (d *duty) end(one *run) {
	if one.over {
		return
	}
	one.over = true
	ev := schedule.Ended{Key: one.Key}
	if one.fails {
		ev.Err, ev.Interrupted = "failed", one.cancelled
	}
	d.t.r.w.logf(d.t.r.Name, "has ended %s", one.Key)
	d.s.ended(one)
	d.s.disturb(d.t.r, afterEnd)
	d.postAwake(ev)
}

// interrupt cancels the context of a run, which returns soon, mostly.
func (d *duty) interrupt(one *run) {
	if one.cancelled || one.over {
		return
	}
	one.cancelled, one.fails = true, d.s.chance(0.75)
	returns := Span{0, 50 * time.Millisecond}
	if d.s.chance(0.2) {
		returns = d.t.r.w.Faults.WorkReturns
	}
	d.t.r.after(returns.draw(d.s.rng), func() { d.end(one) })
}

// drain has nothing more started, and the runs cancelled once the grace is over: at once
// if the term is over.
func (d *duty) drain(graceful bool) {
	if !d.draining {
		d.draining = true
		d.inbox = append(d.inbox, schedule.Drain{})
		d.abandon()
	}
	if graceful {
		d.t.r.after(drainGrace, d.cancel)
	} else {
		d.cancel()
	}
	d.loop()
}

// abandon gives up the entry under way.
func (d *duty) abandon() {
	if d.entering != 0 {
		d.entering = 0
		d.inbox = append(d.inbox, schedule.Entered{})
	}
}

// cancel cancels the contexts of all that is under way.
func (d *duty) cancel() {
	if d.cut {
		return
	}
	d.cut = true
	for _, key := range slices.Sorted(maps.Keys(d.runs)) {
		d.interrupt(d.runs[key])
	}
	d.abandon()
	d.loop()
}

// wakeUp has a schedule look at the clock, and its runs end soon.
func (d *duty) wakeUp() {
	for _, key := range slices.Sorted(maps.Keys(d.runs)) {
		one := d.runs[key]
		d.t.r.after(Span{0, time.Second}.draw(d.s.rng), func() { d.end(one) })
	}
	d.t.r.awake(func() { d.post(schedule.Tick{}) })
}

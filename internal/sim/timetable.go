// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
	"github.com/shardctl/shardctl/pkg/lease"
)

// timetable is what has become of the ticks of a schedule, in the true order of events.
type timetable struct {
	Counts ScheduleCounts

	world  *World
	spec   schedule.Spec
	period time.Duration
	ticks  map[int64]*tick // by seconds since 1970
	// since is from when on each tick has to be accounted for: what was on record before
	// is lost with a Lease that was deleted, or was written over by a hand. Before made
	// the present Lease has no ticks, if nothing at all is on record.
	since time.Time
	// given are the terms that have given the shard away.
	given map[termKey]bool
}

// tick is one.
type tick struct {
	at time.Time
	// claimed is the term whose claim was on record last; withdrawn that it took it back.
	claimed   termKey
	withdrawn bool
	starts    int
	// ended: a run has by itself, or was replaced; noted: the record says so.
	ended, noted bool
	skipped      schedule.Reason
}

func newTimetable(w *World, spec schedule.Spec, period time.Duration) *timetable {
	return &timetable{
		world: w, spec: spec, period: period, ticks: map[int64]*tick{}, given: map[termKey]bool{},
		Counts: ScheduleCounts{Skipped: map[schedule.Reason]int{}},
	}
}

func (tt *timetable) tick(at time.Time) *tick {
	one := tt.ticks[at.Unix()]
	if one == nil {
		one = &tick{at: at}
		tt.ticks[at.Unix()] = one
	}
	return one
}

func (tt *timetable) violatef(r *Replica, format string, args ...any) {
	if !tt.world.Checks.beyond {
		tt.world.violatef(r, "schedule", format, args...)
	}
}

// began takes in that the present Lease was claimed for the first time: with what the
// last one had on record, or not.
func (tt *timetable) began(is lease.Shard, restarted bool) {
	rec, err := schedule.Decode(is.Ledger)
	switch {
	case is.Ledger == "":
		tt.since = time.Unix(is.Created, 0).UTC()
	case !restarted:
		return
	case err == nil && rec.Claimed.Tick.After(rec.Since):
		tt.since = rec.Claimed.Tick // a hand wrote that
	default:
		tt.since = rec.Since
	}
	clear(tt.ticks) // of that nobody knows any more
	for at := tt.spec.Cron.Next(tt.since); !at.After(rec.Skipped.Tick); at = tt.spec.Cron.Next(at) {
		tt.tick(at).skipped = rec.Skipped.Reason
	}
	for _, at := range rec.Unfinished {
		tt.ticks[at.Unix()] = &tick{at: at, claimed: termKey{shard: tt.spec.Role}} // in an earlier life
	}
}

// wrote takes in what has come on record for a term, from something else.
func (tt *timetable) wrote(r *Replica, was, is lease.Shard) {
	before, _ := schedule.Decode(was.Ledger) // nothing, if it cannot be read
	after, err := schedule.Decode(is.Ledger)
	if err != nil {
		if is.Ledger != "" {
			tt.violatef(r, "on record is %q: %v", is.Ledger, err)
		}
		return
	}
	at := noteWritten
	if c := after.Claimed; c != before.Claimed && !c.Tick.IsZero() && !c.Tick.Before(before.Claimed.Tick) {
		at = claimWritten
		tt.Counts.Claims++
		one := tt.tick(c.Tick)
		one.claimed, one.withdrawn = termKey{tt.spec.Role, was.UID, was.Epoch}, false
	}
	for one := range tt.all(after.Claimed.Tick, before.Claimed.Tick) {
		one.withdrawn = true
		tt.Counts.Withdrawn++
		if one.starts > 0 {
			tt.violatef(r, "the claim of %s is withdrawn, and was started", one.at)
		}
	}
	for _, unfinished := range before.Unfinished {
		if !slices.ContainsFunc(after.Unfinished, unfinished.Equal) {
			tt.noted(r, tt.tick(unfinished))
		}
	}
	if is.Epoch == was.Epoch && is.Holder == was.Holder {
		tt.world.schedules.disturbSoon(r, at)
	}
}

// all are the ticks known after one and not after another.
func (tt *timetable) all(after, until time.Time) map[*tick]bool {
	all := map[*tick]bool{}
	for _, one := range tt.ticks {
		if one.at.After(after) && !one.at.After(until) && one.claimed != (termKey{}) && !one.withdrawn {
			all[one] = true
		}
	}
	return all
}

// noted takes in that the record says of a tick that it is finished.
func (tt *timetable) noted(r *Replica, one *tick) {
	one.noted = true
	if !one.ended && tt.spec.Delivery == schedule.AtLeastOnce {
		tt.violatef(r, "on record is that %s is finished, and no run of it has ended", one.at)
	}
}

// checkDecided says of what a machine decides that it fits the clock which it was told.
func (tt *timetable) checkDecided(d *duty, now time.Time, e schedule.Effect) {
	r, spec := d.t.r, tt.spec
	late := func(at time.Time) bool { return spec.StartingDeadline > 0 && now.Sub(at) > spec.StartingDeadline }
	switch e := e.(type) {
	case schedule.Enter:
		rec, err := schedule.Decode(e.Text)
		if err != nil || !d.claims(e.Text) {
			return
		}
		at := rec.Claimed.Tick
		again := !tt.tick(at).withdrawn && tt.tick(at).claimed.epoch == d.t.held.Epoch // its outcome is not known
		switch {
		case at.After(now) && !again:
			tt.violatef(r, "%s is claimed at %s", at, now)
		case !spec.Cron.Next(at).After(now) && !again && spec.Delivery == schedule.AtMostOnce:
			tt.violatef(r, "%s is claimed at %s, and is not the latest", at, now)
		}
	case schedule.Start:
		if d.told {
			tt.violatef(r, "%s is to be started while the shard is to be given away", e.Key)
		}
		if !e.Repeated && spec.Delivery == schedule.AtMostOnce && late(e.Scheduled) {
			tt.violatef(r, "%s is started at %s, after its deadline", e.Key, now)
		}
	case schedule.Skipped:
		switch {
		case e.Reason == schedule.Deadline && !late(e.Scheduled):
			tt.violatef(r, "%s is passed over at %s, within its deadline", e.Scheduled, now)
		case e.Reason == schedule.Missed && spec.Cron.Next(e.Scheduled).After(now):
			tt.violatef(r, "%s is missed at %s, when the next is not due", e.Scheduled, now)
		case e.Reason == schedule.Concurrent && spec.Cron.Next(e.Scheduled).After(now) && !late(e.Scheduled):
			tt.violatef(r, "%s is passed over at %s for a run, and could wait", e.Scheduled, now)
		}
	default:
	}
}

// started takes in that a run begins.
func (tt *timetable) started(d *duty, f schedule.Firing) {
	r, one := d.t.r, tt.tick(f.Scheduled)
	key := keyOf(d.t.held.Term)
	tt.Counts.Starts++
	if f.Repeated {
		tt.Counts.Repeats++
	}
	switch {
	case f.Key != tt.spec.Role+"/"+f.Scheduled.Format(time.RFC3339) || f.Epoch != d.t.held.Epoch || f.Token != d.t.held.Token:
		tt.violatef(r, "%v is started in epoch %d, token %d", f, d.t.held.Epoch, d.t.held.Token)
	case !f.Repeated && !f.Scheduled.After(tt.since):
		tt.violatef(r, "%s is started, which was before the schedule had any", f.Key)
	case one.starts > 0 && (tt.spec.Delivery == schedule.AtMostOnce || !f.Repeated):
		tt.violatef(r, "%s is started again", f.Key)
	case f.Repeated && tt.spec.Delivery == schedule.AtMostOnce:
		tt.violatef(r, "%s is said to be started again", f.Key)
	case one.noted:
		tt.violatef(r, "%s is started again, although it is on record that it is finished", f.Key)
	case one.claimed == termKey{} || one.withdrawn || !f.Repeated && one.claimed != key:
		tt.violatef(r, "%s is started without a claim on record", f.Key)
	}
	going := 0
	for _, other := range d.runs {
		if !other.over {
			going++
		}
	}
	if most := map[bool]int{false: 1, true: schedule.MaxRuns}[tt.spec.Concurrency == schedule.Allow]; going > most {
		tt.violatef(r, "%s is started, as one of %d runs at once", f.Key, going)
	}
	one.starts++
}

// ended takes in that a run has.
func (tt *timetable) ended(one *run) {
	tt.Counts.Ended++
	if !one.cancelled || !one.fails || one.replaced {
		tt.tick(one.Scheduled).ended = true
	}
}

// skipped takes in that ticks are passed over.
func (tt *timetable) skipped(e schedule.Skipped) {
	tt.Counts.Skipped[e.Reason] += e.Count
	for i := range e.Count {
		tt.tick(e.Scheduled.Add(-time.Duration(i) * tt.period)).skipped = e.Reason
	}
}

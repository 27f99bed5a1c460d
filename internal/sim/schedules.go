// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
)

// schedules are the scheduled family of a history: its clock, and what goes wrong at the
// steps of its runs.
type schedules struct {
	source
	c *chaos
	*timetable

	trouble float64 // chance of a process to be killed or paused at one step
	skew    Span    // of wall clocks
	jumps   bool    // wall clocks are set
}

const (
	// shareScheduled of the histories have one family that is a schedule.
	shareScheduled = 0.25
	// scheduleSource tells this source of chance from others: without schedules, all else
	// draws the same.
	scheduleSource = 1<<28 + 3
)

// keepTime makes the last family of a history a schedule, or does not.
func (h *History) keepTime() {
	w, c := h.World, h.chaos
	s := &schedules{source: w.source(scheduleSource), c: c}
	last := w.Config.Shards[len(w.Config.Shards)-1]
	if h.template != nil || last.Buckets > 0 || !s.chance(shareScheduled) {
		return
	}
	policies := []schedule.Concurrency{schedule.Forbid, schedule.Forbid, schedule.Allow, schedule.Replace}
	spec := schedule.Spec{
		Role: last.Name, Concurrency: policies[s.rng.IntN(len(policies))],
		Delivery: []schedule.Delivery{schedule.AtMostOnce, schedule.AtLeastOnce}[s.rng.IntN(2)],
	}
	period := time.Duration(1+s.rng.IntN(3)) * c.scale / 4
	period = max(period.Truncate(time.Second), time.Second)
	if s.chance(0.25) { // the end of a run is not on record before the next claim
		period = time.Duration(12+s.rng.IntN(4)) * time.Second
	}
	cron, err := schedule.ParseCron(fmt.Sprintf("@every %s", period), time.UTC)
	if err != nil {
		panic(fmt.Sprintf("sim: %v", err))
	}
	spec.Cron = cron
	if s.chance(0.5) {
		spec.StartingDeadline = Span{period / 4, 2 * period}.draw(s.rng)
	}
	if s.chance(0.7) {
		s.trouble = 0.1 * s.rng.Float64()
	}
	if s.chance(0.5) {
		s.skew = Span{-3 * time.Second, 3 * time.Second}
	}
	s.jumps = s.chance(0.3)
	s.timetable = newTimetable(w, spec, period)
	w.schedules, w.ledgers = s, true
}

// scheduled tells whether a family is a schedule.
func (w *World) scheduled(family string) bool {
	return w.schedules != nil && w.schedules.spec.Role == family
}

// begin sets wall clocks now and then, until the faults heal.
func (s *schedules) begin() {
	if !s.jumps {
		return
	}
	s.w.after(Span{0, 4 * s.c.scale}.draw(s.rng), func() {
		if s.c.healed {
			return
		}
		s.setClock()
		s.begin()
	})
}

// setClock sets the wall clock of one machine, by seconds mostly.
func (s *schedules) setClock() {
	alive := s.w.Alive()
	if len(alive) == 0 || !s.happens(WallClockSet) {
		return
	}
	r := alive[s.rng.IntN(len(alive))]
	by := Span{-10 * time.Second, 10 * time.Second}
	if s.chance(0.3) {
		by = Span{-3 * time.Minute, 3 * time.Minute}
	}
	r.civil = by.draw(s.rng)
	s.w.logf(r.Name, "has its wall clock set to be %s off", r.civil)
}

// clock is how far off the wall clock of a new machine is.
func (w *World) clock() time.Duration {
	if w.schedules == nil || w.healedAt > 0 {
		return 0
	}
	return w.schedules.skew.draw(w.schedules.rng)
}

// repair puts all clocks right, and has the runs come to their end.
func (s *schedules) repair() {
	for _, r := range s.w.Alive() {
		r.civil = 0
		for _, w := range r.tenures {
			if w.duty != nil {
				w.duty.wakeUp()
			}
		}
	}
}

// step is one of a tick's life at which a process may be killed.
type step int

// The steps.
const (
	beforeClaim step = iota
	claimWritten
	beforeStart
	afterStart
	afterEnd
	beforeNote
	noteWritten
	afterNote
	steps
)

var stepNames = [steps]string{
	beforeClaim:  "before a claim was sent",
	claimWritten: "when a claim was on record, and not answered",
	beforeStart:  "when a claim was answered, and nothing started",
	afterStart:   "when a run had just started",
	afterEnd:     "when a run had ended, or before something else was done",
	beforeNote:   "before the end of a run was sent",
	noteWritten:  "when the end of a run was on record, and not answered",
	afterNote:    "when the end of a run was on record",
}

// disturb kills or pauses a process at a step, or does not: it tells whether it did.
func (s *schedules) disturb(r *Replica, at step) bool {
	p := s.trouble
	if at >= beforeNote { // there are few of these, for most go on record with the next claim
		p = min(10*p, 0.3)
	}
	if s.c.healed || r.Gone || r.paused || !s.chance(p) {
		return false
	}
	if s.chance(0.3) {
		if !s.happens(Paused) {
			return false
		}
		s.Counts.Paused[at]++
		r.Pause(Span{0, s.c.scale}.draw(s.rng))
		return true
	}
	if !s.happens(KilledAtStep) {
		return false
	}
	s.Counts.Killed[at]++
	s.w.logf(r.Name, "is killed %s", stepNames[at])
	s.c.crash(r)
	return true
}

// disturbSoon does so once what happens now is over.
func (s *schedules) disturbSoon(r *Replica, at step) {
	s.w.after(0, func() { s.disturb(r, at) })
}

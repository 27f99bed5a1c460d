// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// history is a schedule with a tick every minute, over some hours in which much goes
// wrong, from a seed: replicas die at every boundary of an effect, and at any other time;
// entries are on record or not, without anybody knowing; shards are handed over; loops
// oversleep; clocks differ, and jump; people edit the ledger. It is known what has really
// happened, so it is known what may not have.
type history struct {
	rng    *rand.Rand
	spec   Spec
	faults faults
	driver driver
	lines  strings.Builder
	broken error // what was violated first

	now   time.Time // by a clock that is right
	since time.Time
	quiet bool // nothing goes wrong any more

	// The record that the replicas share, and who holds the shard.
	ledger  string
	epoch   int32
	holder  *Machine // nil: nobody does
	nextAt  time.Time
	offset  time.Duration // of the holder's clock
	answer  time.Time     // when the entry under way is answered; zero if none is
	entry   string
	drain   time.Time // since when the holder drains; zero if it does not
	cut     bool      // its term is over, and its runs are cancelled
	over    bool      // it was told that a run was interrupted
	running map[string]*going

	started   map[string]int
	concluded map[string]bool // a run of the tick has ended by itself, or was replaced
	committed map[string]bool // the claim of the tick was on record, and not withdrawn
	excused   map[string]bool // its holder was gone, or the ledger edited, after that
	skipped   map[string]Reason
	disturbed map[int64]bool // minutes in which something was amiss
	busy      map[int64]bool // minutes in which no more runs were to be started
}

// going is a run under way.
type going struct {
	ends      time.Time
	fails     bool
	cancelled bool // a context was
	replaced  bool
}

// faults are what goes wrong in a history.
type faults struct{ crashes, unknown, handovers, oversleeps, skew, jumps, edits, swaps bool }

// driver is what carries out the effects: the one below, or a wrong one.
type driver struct {
	// early tells of an entry that it is on record before that is so.
	early bool
	// sure tells of every entry that it is on record.
	sure bool
	// forgetful begins a term without what is on record; amnesiac without the last claim.
	forgetful, amnesiac bool
	// mute leaves out the last word.
	mute bool
	// hasty gives the last word while runs go on, as if they had ended.
	hasty bool
	// lenient takes interrupted runs for failed ones.
	lenient bool
	// deaf does not say that a run has ended.
	deaf bool
}

const day = 24 * time.Hour

func newHistory(seed uint64, spec Spec, d driver) *history {
	rng := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // to be repeated
	coin := func() bool { return rng.IntN(2) == 0 }
	h := &history{
		rng: rng, spec: spec, driver: d, now: time.Date(2026, time.March, 2, 8, 0, 30, 0, time.UTC),
		faults:  faults{crashes: coin(), unknown: coin(), handovers: coin(), oversleeps: coin(), skew: coin(), jumps: rng.IntN(4) == 0, edits: rng.IntN(4) == 0, swaps: coin()},
		started: map[string]int{}, concluded: map[string]bool{}, committed: map[string]bool{}, excused: map[string]bool{}, skipped: map[string]Reason{},
		disturbed: map[int64]bool{}, busy: map[int64]bool{}, running: map[string]*going{},
	}
	if h.faults.jumps {
		h.faults.edits = false // what is edited away may be claimed again if a clock was fast
	}
	h.since = h.now
	return h
}

func (h *history) violatedf(format string, args ...any) {
	if h.broken == nil {
		h.broken = fmt.Errorf(format, args...)
		h.logf("VIOLATED: %v", h.broken)
	}
}

func (h *history) logf(format string, args ...any) {
	fmt.Fprintf(&h.lines, "%s %s\n", h.now.Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// chance is true so often, out of a hundred, as long as anything goes wrong.
func (h *history) chance(on bool, percent int) bool {
	return on && !h.quiet && h.rng.IntN(100) < percent
}

func (h *history) upTo(d time.Duration) time.Duration { return time.Duration(h.rng.Int64N(int64(d))) }

// run lets time pass, and then some more in which nothing goes wrong.
func (h *history) run(d time.Duration) {
	for until := h.now.Add(d); h.now.Before(until) && h.broken == nil; {
		h.once()
	}
	h.quiet, h.offset = true, 0
	for until := h.now.Add(30 * time.Minute); h.now.Before(until) && h.broken == nil; {
		h.once()
	}
	h.check()
}

// once does the next thing that is due.
func (h *history) once() {
	if h.holder == nil {
		h.pass(h.nextAt)
		h.begin()
		return
	}
	next, what := h.now.Add(time.Minute), func() { h.step(Tick{}) }
	take := func(at time.Time, do func()) {
		if !at.IsZero() && at.Before(next) {
			next, what = at, do
		}
	}
	if d := h.holder.Deadline(); !d.IsZero() {
		take(d.Add(-h.offset), func() { h.step(Tick{}) })
	}
	take(h.answer, h.answered)
	for _, key := range slices.Sorted(maps.Keys(h.running)) {
		take(h.running[key].ends, func() { h.ended(key) })
	}
	if !h.drain.IsZero() {
		take(h.drain.Add(10*time.Second), h.cancel)
	}
	if h.chance(h.faults.oversleeps, 2) {
		h.logf("oversleeps")
		next = later(next, h.now).Add(h.upTo(3 * time.Minute))
		h.disturb(h.now, next)
	}
	h.pass(next)
	h.amiss(what)
	switch {
	case h.holder == nil || len(h.running) > 0:
	case h.cut && h.drain.IsZero():
		h.crash("is gone")
	case !h.drain.IsZero() && h.answer.IsZero():
		h.leave()
	}
}

// amiss does what is due, unless something else happens.
func (h *history) amiss(what func()) {
	switch {
	case h.chance(h.faults.crashes, 1):
		h.crash("dies")
	case h.chance(h.faults.handovers, 1) && h.drain.IsZero():
		h.logf("is to give the shard away")
		h.drain = h.now
		h.disturb(h.now, h.now)
		h.step(Drain{})
	case h.chance(h.faults.crashes, 1) && len(h.running) > 0:
		h.logf("has its term end, and its runs cancelled, before it is told")
		h.disturb(h.now, h.now)
		h.cut = true
		for _, key := range slices.Sorted(maps.Keys(h.running)) {
			h.cancelOne(h.running[key])
		}
	case h.chance(h.faults.jumps, 1):
		h.offset = []time.Duration{h.upTo(time.Hour), -h.upTo(time.Hour), h.upTo(day), -400 * day, 0}[h.rng.IntN(5)]
		h.logf("has its clock off by %s", h.offset)
		h.step(Tick{})
	case h.chance(h.faults.edits, 1) && h.answer.IsZero():
		h.logf("somebody edits the ledger")
		h.crash("dies")
		h.ledger = "{}"
		for key := range h.committed {
			h.excused[key] = true
		}
	default:
		what()
	}
}

// pass lets time pass.
func (h *history) pass(until time.Time) {
	if len(h.running) >= h.spec.runs() || !h.drain.IsZero() {
		for at := h.now.Unix() / 60; at <= until.Unix()/60; at++ {
			h.busy[at] = true
		}
	}
	h.now = later(h.now, until)
}

// disturb says that ticks could not be started in time.
func (h *history) disturb(from, to time.Time) {
	for at := from.Unix()/60 - 1; at <= to.Unix()/60; at++ {
		h.disturbed[at] = true
	}
}

// begin has somebody take the shard.
func (h *history) begin() {
	h.epoch++
	if h.faults.skew && !h.quiet {
		h.offset = h.upTo(40*time.Second) - 20*time.Second
		h.disturb(h.now, h.now.Add(time.Minute))
	}
	term := Term{Epoch: h.epoch, Ledger: h.ledger, Created: h.since}
	if h.driver.forgetful {
		term.Ledger = ""
	}
	if r, err := Decode(term.Ledger); err == nil && h.driver.amnesiac && !r.Claimed.Tick.IsZero() {
		r.Claimed, r.Unfinished, r.Since = Claim{}, nil, r.Claimed.Tick.Add(-time.Second)
		term.Ledger = r.encode()
	}
	h.logf("term %d begins with %s", h.epoch, term.Ledger)
	h.holder = New(h.spec, term)
	h.step(Tick{})
}

// crash ends a term without a word.
func (h *history) crash(how string) {
	if !h.answer.IsZero() && h.rng.IntN(2) == 0 {
		h.commit(h.entry)
	}
	for key := range h.committed {
		if h.started[key] == 0 {
			h.excused[key] = true
		}
	}
	h.logf("%s", how)
	h.gone(h.upTo(2 * time.Minute))
}

// gone leaves the shard to nobody for some time.
func (h *history) gone(d time.Duration) {
	h.holder, h.answer, h.entry, h.drain, h.cut, h.over, h.offset = nil, time.Time{}, "", time.Time{}, false, false, 0
	clear(h.running)
	h.nextAt = h.now.Add(d)
	h.disturb(h.now, h.nextAt)
}

// leave hands the shard over, with the last word; or puts another machine in the place
// of this one.
func (h *history) leave() {
	word := h.holder.Ledger()
	if h.chance(h.faults.swaps, 50) {
		h.logf("another machine begins with %s", word)
		h.drain, h.cut, h.over = time.Time{}, false, false
		h.holder = New(h.spec, Term{Epoch: h.epoch, Ledger: word, Created: h.since, Unsaved: true})
		h.step(Tick{})
		return
	}
	if !h.driver.mute {
		h.commit(word)
	}
	h.logf("hands over with %s", word)
	h.gone(h.upTo([]time.Duration{time.Second, 2 * time.Minute}[h.rng.IntN(2)]))
}

// commit puts a text on record.
func (h *history) commit(text string) {
	r, err := Decode(text)
	if err != nil {
		h.violatedf("%s cannot be read: %v", text, err)
		return
	}
	if len(text) > maxText/2 {
		h.violatedf("the ledger has %d bytes", len(text))
	}
	for key := range h.committed { // a claim after the last one was withdrawn
		if h.spec.Delivery == AtMostOnce && key > h.spec.key(r.floor()) && h.started[key] == 0 {
			delete(h.committed, key)
		}
	}
	if !r.Claimed.Tick.IsZero() {
		h.committed[h.spec.key(r.Claimed.Tick)] = true
	}
	h.ledger = text
}

// step tells the holder, and carries out what it wants; it may die before each of it.
func (h *history) step(ev Event) {
	m := h.holder
	effects := m.Step(h.now.Add(h.offset), ev)
	for _, e := range effects {
		if h.chance(h.faults.crashes, 1) {
			h.crash(fmt.Sprintf("dies before %T", e))
			return
		}
		h.carryOut(e)
		if h.holder != m {
			return
		}
	}
	if h.chance(h.faults.crashes, 1) {
		h.crash("dies afterwards")
	}
}

func (h *history) carryOut(e Effect) {
	switch e := e.(type) {
	case Enter:
		h.logf("enters %s", e.Text)
		if !h.answer.IsZero() {
			h.violatedf("two entries at once")
		}
		if r, err := Decode(e.Text); err == nil && r.Claimed.At.Equal(moment(h.now.Add(h.offset))) && h.spec.Cron.Next(r.Claimed.Tick).Before(r.Claimed.At) && h.spec.Delivery == AtMostOnce {
			h.violatedf("%s is claimed, but it is not the latest", r.Claimed.Tick)
		}
		h.entry, h.answer = e.Text, h.now.Add(h.upTo(200*time.Millisecond))
		if h.chance(h.faults.unknown, 2) {
			h.answer = h.now.Add(h.upTo(2 * time.Minute))
			h.disturb(h.now, h.answer)
		}
		if h.driver.early {
			h.step(Entered{OK: true})
		}
	case Start:
		h.start(e.Firing)
	case Stop:
		h.logf("stops %s", e.Key)
		g := h.running[e.Key]
		g.replaced = true
		h.cancelOne(g)
	case Skipped:
		h.logf("skipped %d up to %s: %s", e.Count, e.Scheduled, e.Reason)
		for i := range e.Count {
			key := h.spec.key(e.Scheduled.Add(-time.Duration(i) * time.Minute))
			if h.skipped[key] != "" && !h.faults.crashes && !h.faults.skew && !h.faults.jumps && !h.faults.edits {
				h.violatedf("%s is skipped again", key)
			}
			h.skipped[key] = e.Reason
		}
	case Finished:
		h.logf("finished %s: %s", e.Key, e.Outcome)
	case Unreadable:
		h.logf("unreadable: %v", e.Err)
		h.disturb(h.now, h.now.Add(2*time.Minute)) // what is due in the next minute counts as claimed, too
	case Ahead:
		h.logf("ahead: %s", e.Until)
	}
}

// answered answers the entry under way.
func (h *history) answered() {
	text := h.entry
	h.entry, h.answer = "", time.Time{}
	known := !h.chance(h.faults.unknown, 10)
	if known || h.rng.IntN(2) == 0 {
		h.commit(text)
	}
	if !known {
		h.logf("it is not known what became of the entry")
		h.disturb(h.now, h.now.Add(time.Minute))
	}
	if h.driver.early {
		return
	}
	h.step(Entered{OK: known || h.driver.sure})
}

func (h *history) start(f Firing) {
	h.logf("starts %s, repeated: %t", f.Key, f.Repeated)
	if f.Repeated && h.spec.Delivery == AtMostOnce || !f.Repeated && h.started[f.Key] > 0 {
		h.violatedf("%s: repeated is %t", f.Key, f.Repeated)
	}
	if late := h.now.Add(h.offset).Sub(f.Scheduled); h.spec.StartingDeadline > 0 && late > h.spec.StartingDeadline && h.spec.Delivery == AtMostOnce {
		h.violatedf("%s was started %s late", f.Key, late)
	}
	if !h.drain.IsZero() || h.over {
		h.violatedf("%s was started while the shard was to be given away", f.Key)
	}
	h.started[f.Key]++
	if h.spec.Delivery == AtMostOnce && h.started[f.Key] > 1 {
		h.violatedf("%s was started %d times", f.Key, h.started[f.Key])
	}
	r, err := Decode(h.ledger)
	if err != nil || !f.Repeated && !r.Claimed.Tick.Equal(f.Scheduled) || f.Repeated && !slices.ContainsFunc(r.Unfinished, f.Scheduled.Equal) {
		h.violatedf("%s was started, but on record is %s", f.Key, h.ledger)
	}
	for _, tick := range r.Unfinished {
		key := h.spec.key(tick)
		if h.running[key] == nil && !h.concluded[key] && tick.Before(f.Scheduled) {
			h.violatedf("%s was started before %s, which is older and unfinished", f.Key, key)
		}
	}
	if h.running[f.Key] != nil || len(h.running) >= h.spec.runs() {
		h.violatedf("%s was started while %v ran", f.Key, slices.Sorted(maps.Keys(h.running)))
	}
	g := &going{ends: h.now.Add(h.upTo(20 * time.Second)), fails: h.rng.IntN(4) == 0}
	if h.rng.IntN(10) == 0 {
		g.ends = h.now.Add(h.upTo(15 * time.Minute))
	}
	h.running[f.Key] = g
	if h.cut {
		h.cancelOne(g)
	}
}

// cancel is what becomes of runs when the grace is over.
func (h *history) cancel() {
	h.drain = h.drain.Add(day)
	for _, key := range slices.Sorted(maps.Keys(h.running)) {
		h.cancelOne(h.running[key])
	}
	if h.driver.hasty {
		h.leave()
	}
}

func (h *history) cancelOne(g *going) {
	if !g.cancelled {
		g.cancelled, g.ends, g.fails = true, h.now.Add(h.upTo(3*time.Second)), h.rng.IntN(4) != 0
	}
}

func (h *history) ended(key string) {
	g := h.running[key]
	delete(h.running, key)
	ev := Ended{Key: key, Interrupted: g.cancelled && g.fails && !h.driver.lenient}
	if g.fails {
		ev.Err = strings.Repeat("<failed>\n", h.rng.IntN(100))
	}
	h.logf("%s has ended: fails %t, cancelled %t, replaced %t", key, g.fails, g.cancelled, g.replaced)
	if !g.cancelled || !g.fails || g.replaced {
		h.concluded[key] = true
	}
	h.over = h.over || ev.Interrupted && !g.replaced
	if !h.driver.deaf {
		h.step(ev)
	}
}

// check looks back at all that has happened.
func (h *history) check() {
	if h.broken != nil {
		return
	}
	for key := range h.committed {
		if h.spec.Delivery == AtLeastOnce && !h.concluded[key] && h.running[key] == nil && !h.excusedByEdit(key) {
			h.violatedf("%s was claimed, and no run of it has ended", key)
		}
		if h.started[key] == 0 && !h.excused[key] && h.skipped[key] == "" {
			h.violatedf("%s was claimed, and neither started nor skipped", key)
		}
	}
	if h.faults.jumps {
		return
	}
	for tick := h.spec.Cron.Next(h.since); tick.Before(h.now.Add(-5 * time.Minute)); tick = h.spec.Cron.Next(tick) {
		key, minute := h.spec.key(tick), tick.Unix()/60
		reason, skipped := h.skipped[key]
		amiss := h.disturbed[minute] || h.disturbed[minute+1]
		switch {
		case h.started[key] > 0:
		case !skipped && !h.excused[key] && !(h.faults.edits && amiss):
			h.violatedf("%s was neither started nor skipped, and nobody died after it was claimed", key)
		case skipped && reason == Concurrent && !h.busyAround(minute):
			h.violatedf("%s waited for a run, but none went on", key)
		case skipped && reason != Concurrent && !amiss && !h.busy[minute]:
			h.violatedf("%s was skipped (%s), and nothing was amiss", key, reason)
		}
	}
}

// busyAround tells whether a tick may have waited for a run: those that became due after
// that, and before anybody looked, are passed over together.
func (h *history) busyAround(minute int64) bool {
	for at := minute - 6; at <= minute+1; at++ {
		if h.busy[at] {
			return true
		}
	}
	return false
}

// excusedByEdit tells whether somebody may have edited away that the tick was unfinished.
func (h *history) excusedByEdit(key string) bool { return h.faults.edits && h.excused[key] }

// specs are all kinds of schedules.
func specs(t *testing.T) (all []Spec) {
	t.Helper()
	cron, err := ParseCron("* * * * *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Concurrency{Forbid, Allow, Replace} {
		for _, d := range []Delivery{AtMostOnce, AtLeastOnce} {
			for _, deadline := range []time.Duration{0, 50 * time.Second} {
				all = append(all, Spec{Role: "r", Cron: cron, Concurrency: c, Delivery: d, StartingDeadline: deadline})
			}
		}
	}
	return all
}

const seeds = 8 // for each kind of schedule; each has 270 ticks

// TestHistories looks at more than 25,000 ticks.
func TestHistories(t *testing.T) {
	ticks, starts, repeated := 0, 0, 0
	for _, spec := range specs(t) {
		for seed := range uint64(seeds) {
			h := newHistory(seed, spec, driver{})
			h.run(4 * time.Hour)
			if h.broken != nil {
				t.Fatalf("%s %s, deadline %s, seed %d (%+v): %v\n%s", spec.Concurrency, spec.Delivery, spec.StartingDeadline, seed, h.faults, h.broken, h.lines.String()[max(0, h.lines.Len()-20_000):])
			}
			ticks += int(h.now.Sub(h.since) / time.Minute)
			for _, n := range h.started {
				starts++
				repeated += n - 1
			}
		}
	}
	t.Logf("of %d ticks %d were started, %d of them repeatedly", ticks, starts, repeated)
	if ticks < 25_000 || starts < ticks/3 || repeated < 100 {
		t.Error("that proves little")
	}
}

// TestHistoriesNotice breaks what the machine relies on.
func TestHistoriesNotice(t *testing.T) {
	for name, d := range map[string]driver{
		"starts before the claim is on record":          {early: true},
		"takes an unknown outcome for success":          {sure: true},
		"begins without the ledger":                     {forgetful: true},
		"begins without the last claim":                 {amnesiac: true},
		"hands over without the last word":              {mute: true},
		"hands over while runs go on":                   {hasty: true},
		"takes interrupted runs for such as have ended": {lenient: true},
		"does not tell that a run has ended":            {deaf: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, spec := range specs(t) {
				for seed := range uint64(5 * seeds) {
					h := newHistory(seed, spec, d)
					h.run(4 * time.Hour)
					if h.broken != nil {
						t.Logf("%s %s, deadline %s, seed %d: %v", spec.Concurrency, spec.Delivery, spec.StartingDeadline, seed, h.broken)
						return
					}
				}
			}
			t.Error("no history notices")
		})
	}
}

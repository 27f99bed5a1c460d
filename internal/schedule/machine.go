// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"slices"
	"time"
)

const (
	// tolerance is by how much the clocks of replicas differ without anybody being told,
	// and how much too late somebody's claim may look that nobody can read.
	tolerance = time.Minute
	// notePatience is how long something waits to be entered that nothing depends on, so
	// that the next claim can take it along.
	notePatience = 5 * time.Second
	// An entry that failed is repeated after the first pause, then after twice that, up to
	// the last.
	firstPause = time.Second
	lastPause  = time.Minute
)

// Machine decides what is to be done for a schedule in one term. It knows no time but
// what it is told, and nothing of what becomes of its effects but what it is told.
type Machine struct {
	spec Spec
	term Term

	begun bool
	now   time.Time // of the last step
	// rec is what is to be on record as of now. A claim is in it once that is entered, and
	// its run then starts in the same step, if it still may.
	rec     Record
	passed  time.Time // ticks up to here are decided: claimed or passed over
	waiting time.Time // the tick that waits for a run to end; zero if none does
	runs    []run     // those under way, in the order of their starts

	sent     string    // the entry under way; empty if there is none
	claim    Claim     // what it claims; zero if it claims nothing
	doubt    Claim     // one to be started at least once that may be on record; zero if there is none
	changed  time.Time // since when rec is not what is on record; zero if it is
	urgent   bool      // that is not to wait for a claim to take it along
	unsaved  bool      // what is unfinished may not be on record yet
	failures int       // entries that failed since the last that did not
	again    time.Time // when the next may be tried

	draining bool
	ahead    bool // was told
	effects  []Effect
}

// run is one that is under way.
type run struct {
	key     string
	tick    time.Time
	started time.Time
	stopped bool // was told to stop, for another to take its place
}

// New makes a machine for a term. The spec is one that Validate accepts.
func New(spec Spec, t Term) *Machine { return &Machine{spec: spec, term: t} }

// Step takes in an event, at a time of the wall clock, which may jump, and returns what
// is to be done.
func (m *Machine) Step(now time.Time, ev Event) []Effect {
	m.now = sane(now)
	m.begin()
	switch ev := ev.(type) {
	case Tick:
	case Entered:
		m.entered(ev.OK)
	case Ended:
		m.ended(ev)
	case Drain:
		m.draining = true
	}
	m.decide()
	effects := m.effects
	m.effects = nil
	return effects
}

// Deadline is when the next [Tick] is due, as of the last step; zero if none is before
// another event.
func (m *Machine) Deadline() time.Time {
	if m.draining || m.sent != "" {
		return time.Time{}
	}
	next := m.spec.Cron.Next(later(m.now, m.rec.floor()))
	if note := m.noteAt(); !note.IsZero() && (next.IsZero() || note.Before(next)) {
		return note
	}
	return next
}

// Ledger is what is to be on record when the shard is handed over, after [Drain] and the
// end of all runs.
func (m *Machine) Ledger() string {
	if !m.begun {
		return m.term.Ledger
	}
	if m.spec.Delivery == AtMostOnce {
		return m.rec.encode()
	}
	return m.rec.with(m.doubtful(), AtLeastOnce).encode()
}

// begin reads the ledger, with the first step.
func (m *Machine) begin() {
	if m.begun {
		return
	}
	m.begun = true
	if m.term.Unsaved {
		m.change(true)
	}
	if m.term.Ledger == "" {
		m.rec.Since = sane(m.term.Created)
		m.passed = m.rec.Since
		return
	}
	var err error
	if m.rec, err = Decode(m.term.Ledger); err != nil {
		m.rec = Record{Since: sane(m.now.Add(tolerance).Truncate(time.Second))}
		m.change(true)
		m.do(Unreadable{Err: err})
	}
	m.passed = later(m.rec.floor(), m.rec.Skipped.Tick)
	if m.spec.Delivery == AtMostOnce {
		m.giveUp()
	}
	m.unsaved = m.term.Unsaved && len(m.rec.Unfinished) > 0
}

// giveUp notes that it will never be known what became of the last claim, if the term in
// which it was made ended without a word. That goes for all that is unfinished, if it was
// to be started again before the configuration was changed.
func (m *Machine) giveUp() {
	if len(m.rec.Unfinished) > 0 {
		m.rec.Unfinished = nil
		m.change(false)
	}
	c := m.rec.Claimed
	if !c.Tick.After(m.rec.Last.Tick) || m.rec.Skipped.Tick.Equal(c.Tick) {
		return
	}
	m.rec.Last = Run{Tick: c.Tick, Started: c.At, Epoch: c.Epoch, Outcome: Unknown}
	m.change(false)
	m.do(Finished{Key: m.spec.key(c.Tick), Outcome: Unknown})
}

// entered takes in the answer to an entry.
func (m *Machine) entered(ok bool) {
	if m.sent == "" {
		return
	}
	sent, claim := m.sent, m.claim
	m.sent, m.claim = "", Claim{}
	if !ok {
		// The ledger says what it said, or what was sent. Nothing of the latter has happened,
		// and nothing will before an entry of this machine is known to be there.
		if m.spec.Delivery == AtLeastOnce && !claim.Tick.IsZero() {
			m.doubt = claim
		}
		m.failures++
		m.again = m.now.Add(min(firstPause<<min(m.failures-1, 10), lastPause))
		m.change(true)
		return
	}
	m.failures, m.again, m.unsaved = 0, time.Time{}, false
	if !claim.Tick.IsZero() {
		m.claimed(claim)
	}
	m.changed, m.urgent = time.Time{}, false
	if m.rec.encode() != sent {
		m.change(m.spec.Delivery == AtLeastOnce)
	}
}

// claimed starts a tick whose claim is on record. If nothing more is to start the last
// word withdraws the claim, so that the next holder may make it; but one that is to be
// started at least once stays.
func (m *Machine) claimed(c Claim) {
	if m.draining && m.spec.Delivery == AtMostOnce {
		return
	}
	m.rec = m.rec.with(c, m.spec.Delivery)
	m.passed, m.waiting, m.doubt = c.Tick, time.Time{}, Claim{}
	switch {
	case m.draining:
	case m.spec.Delivery == AtMostOnce && m.late(c.Tick):
		m.skip(c.Tick, 1, Deadline) // the entry has taken so long
	default:
		m.start(c.Tick, false)
	}
}

// doubtful is the claim that may be on record, and be all that is known of a tick that is
// to be started at least once; zero if there is none.
func (m *Machine) doubtful() Claim {
	if m.claim.Tick.IsZero() {
		return m.doubt
	}
	return m.claim
}

func (m *Machine) start(tick time.Time, repeated bool) {
	key := m.spec.key(tick)
	m.runs = append(m.runs, run{key: key, tick: tick, started: m.now})
	m.do(Start{Firing{Key: key, Schedule: m.spec.Role, Scheduled: tick, Epoch: m.term.Epoch, Token: m.term.Token, Repeated: repeated}})
}

// ended takes in that a run has returned.
func (m *Machine) ended(ev Ended) {
	i := slices.IndexFunc(m.runs, func(r run) bool { return r.key == ev.Key })
	if i < 0 {
		return
	}
	r := m.runs[i]
	m.runs = slices.Delete(m.runs, i, i+1)
	outcome := Succeeded
	switch {
	case ev.Interrupted && r.stopped:
		outcome = Replaced
	case ev.Interrupted:
		outcome = Interrupted
		m.draining = true // only the end of the term interrupts a run
	case ev.Err != "":
		outcome = Failed
	}
	m.rec.Last = Run{Tick: r.tick, Started: moment(r.started), Ended: moment(m.now), Epoch: m.term.Epoch, Outcome: outcome, Err: cut(ev.Err)}
	if outcome != Interrupted {
		m.rec.Unfinished = slices.DeleteFunc(slices.Clone(m.rec.Unfinished), r.tick.Equal)
	}
	m.change(m.spec.Delivery == AtLeastOnce)
	m.do(Finished{Key: r.key, Outcome: outcome})
}

// change notes that what is to be on record has changed.
func (m *Machine) change(urgent bool) {
	if m.changed.IsZero() {
		m.changed = m.now
	}
	m.urgent = m.urgent || urgent
}

func (m *Machine) do(e Effect) { m.effects = append(m.effects, e) }

// later is the later of two instants.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

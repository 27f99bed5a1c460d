// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"slices"
	"time"
)

// decide does what is due: first what was claimed before and has not ended, then the
// latest tick. While an entry is under way nothing else is decided: what comes of it
// may change everything.
func (m *Machine) decide() {
	m.rewind()
	if m.draining || m.sent != "" {
		return
	}
	if m.unsaved { // a run that is begun, and dies, must be known to whoever is next
		if !m.now.Before(m.noteAt()) {
			m.enter(Claim{})
		}
		return
	}
	m.repeat()
	tick := m.due()
	switch {
	case m.now.Before(m.again): // the ledger is not known
	case !tick.IsZero() && m.admits(tick):
		m.enter(Claim{Tick: tick, At: moment(m.now), Epoch: m.term.Epoch})
	case !m.changed.IsZero() && !m.now.Before(m.noteAt()):
		m.enter(Claim{})
	}
}

// rewind makes the best of a clock that was set back. What was only passed over may come
// again; what was claimed never does.
func (m *Machine) rewind() {
	if m.passed.Sub(m.now) > tolerance {
		m.passed = later(m.rec.floor(), m.now)
	}
	if m.changed.After(m.now) {
		m.changed = m.now
	}
	if m.again.Sub(m.now) > lastPause {
		m.again = m.now
	}
	ahead := m.rec.floor().Sub(m.now) > tolerance
	if ahead && !m.ahead {
		m.do(Ahead{Until: m.rec.floor()})
	}
	m.ahead = ahead
}

// repeat starts anew what the record says is unfinished and is not under way: of an
// earlier term.
func (m *Machine) repeat() {
	if m.spec.Suspend {
		return
	}
	for _, tick := range m.rec.Unfinished {
		if slices.ContainsFunc(m.runs, func(r run) bool { return r.tick.Equal(tick) }) {
			continue
		}
		if !m.admits(tick) {
			return
		}
		m.start(tick, true)
	}
}

// due is the tick that is to be claimed, as far as the runs under way allow; zero if there
// is none. All that are due before it are passed over.
func (m *Machine) due() time.Time {
	if !m.doubt.Tick.IsZero() {
		return m.doubt.Tick // no later one takes its place
	}
	p := m.spec.Cron.between(m.passed, m.now)
	if p.count == 0 {
		return time.Time{}
	}
	if m.spec.Suspend {
		m.skip(p.latest, p.count, Suspended)
		return time.Time{}
	}
	if p.count > 1 {
		reason := Missed
		if !m.waiting.IsZero() {
			reason = Concurrent
		}
		m.skip(p.before, p.count-1, reason)
	}
	if m.late(p.latest) {
		reason := Deadline
		if m.waiting.Equal(p.latest) {
			reason = Concurrent
		}
		m.skip(p.latest, 1, reason)
		return time.Time{}
	}
	return p.latest
}

// late tells whether it is too late to start a tick.
func (m *Machine) late(tick time.Time) bool {
	return m.spec.StartingDeadline > 0 && m.now.Sub(tick) > m.spec.StartingDeadline
}

// admits tells whether one more run may start. If not the tick waits, and runs that it
// replaces are stopped.
func (m *Machine) admits(tick time.Time) bool {
	if len(m.runs) < m.spec.runs() {
		return true
	}
	if tick.After(m.passed) {
		m.waiting = tick
	}
	if m.spec.Concurrency != Replace {
		return false
	}
	for i := range m.runs {
		if r := &m.runs[i]; !r.stopped {
			r.stopped = true
			m.do(Stop{Key: r.key, By: m.spec.key(tick)})
		}
	}
	return false
}

// skip passes over ticks, of which one is the last.
func (m *Machine) skip(tick time.Time, n int, reason Reason) {
	m.rec.Skipped = Skips{Count: m.rec.Skipped.Count + int64(n), Tick: tick, Reason: reason}
	m.passed = later(m.passed, tick)
	if !m.waiting.After(m.passed) {
		m.waiting = time.Time{}
	}
	m.change(false)
	m.do(Skipped{Scheduled: tick, Count: n, Reason: reason})
}

// enter puts on record what is to be there, with a claim if there is one.
func (m *Machine) enter(c Claim) {
	m.claim, m.sent = c, m.rec.with(c, m.spec.Delivery).encode()
	m.do(Enter{Text: m.sent})
}

// noteAt is when the record is to be entered if nothing is claimed before; zero if it is
// on record.
func (m *Machine) noteAt() time.Time {
	if m.changed.IsZero() || m.urgent {
		return later(m.changed, m.again)
	}
	return later(m.changed.Add(notePatience), m.again)
}

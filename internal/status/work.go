// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"slices"
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
)

// The kinds of roles that keep a ledger.
const (
	KindSchedule = "schedule"
	KindExec     = "exec"
)

// Schedule is what the ledger of a schedule says of its runs. Times are in RFC 3339; those
// of starts and ends are by the clocks of the replicas.
type Schedule struct {
	// Claimed is the last tick that was claimed to be started, and ClaimedAt is when;
	// empty if none was yet.
	Claimed   string `json:"claimed,omitempty"`
	ClaimedAt string `json:"claimedAt,omitempty"`
	// State is what has become of that: see [RunState].
	State RunState `json:"state"`
	// Last is the run that ended last; absent if none has.
	Last *Run `json:"last,omitempty"`
	// Unfinished are ticks that are to be started again, since no run of them is known
	// to have ended.
	Unfinished []string `json:"unfinished,omitempty"`
	// Skipped is how many ticks were passed over, SkippedLast the last of them and
	// SkippedFor why.
	Skipped     int64  `json:"skipped"`
	SkippedLast string `json:"skippedLast,omitempty"`
	SkippedFor  string `json:"skippedFor,omitempty"`
}

// Run is a run of a schedule that has ended.
type Run struct {
	Tick    string `json:"tick"`
	Started string `json:"started"`
	Ended   string `json:"ended"`
	// Outcome is succeeded, failed, interrupted or replaced.
	Outcome string `json:"outcome"`
	// Error is the beginning of what it failed with.
	Error string `json:"error,omitempty"`
}

// String is the outcome, and the error if there is one.
func (r *Run) String() string {
	if r.Error == "" {
		return r.Outcome
	}
	return r.Outcome + ": " + r.Error
}

// RunState is what has become of the tick that was claimed last.
type RunState string

// The states of a run.
const (
	NeverRun RunState = "never"   // there was none yet
	Running  RunState = "running" // it has begun, or is about to
	Ran      RunState = "ended"   // Last is its run
	// Unknown: it was claimed in a term that is over, and its end is not on record. Its
	// holder was lost, either before it began or while it ran.
	Unknown RunState = "unknown"
)

// takeLedger adds what the work has on record. Who may write Leases may write anything
// there: what cannot be read is left out.
func (s *Shard) takeLedger(ledger string) {
	if ledger == "" {
		return
	}
	if record, err := schedule.Decode(ledger); err == nil {
		s.Kind, s.Schedule = KindSchedule, scheduleOf(record, s.State.Active(), s.Epoch)
	} else if e, err := decodeExec(ledger); err == nil {
		s.Kind, s.Exec = KindExec, e
	}
}

// scheduleOf is what a record says, while the shard is held in an epoch, or not.
func scheduleOf(r schedule.Record, held bool, epoch int32) *Schedule {
	s := &Schedule{
		Claimed: moment(r.Claimed.Tick), ClaimedAt: moment(r.Claimed.At),
		Skipped: r.Skipped.Count, SkippedLast: moment(r.Skipped.Tick), SkippedFor: string(r.Skipped.Reason),
	}
	for _, tick := range r.Unfinished {
		s.Unfinished = append(s.Unfinished, moment(tick))
	}
	if !r.Last.Tick.IsZero() {
		s.Last = &Run{Tick: moment(r.Last.Tick), Started: moment(r.Last.Started), Ended: moment(r.Last.Ended), Outcome: string(r.Last.Outcome), Error: r.Last.Err}
	}
	switch {
	case r.Claimed.Tick.IsZero():
		s.State = NeverRun
	case !r.Last.Tick.Before(r.Claimed.Tick):
		s.State = Ran
	case held && r.Claimed.Epoch == epoch:
		s.State = Running
	default:
		s.State = Unknown
	}
	return s
}

// moment is a time in RFC 3339; empty if there is none.
func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// last is what was done last, for people: what came of it, and how long ago; empty if there
// is nothing on record.
func (s Shard) last(now time.Time) string {
	what, at := s.done()
	if what == "" {
		return ""
	}
	return what + ", " + age(at, now) + " ago"
}

// done is what was done last, and when.
func (s Shard) done() (what, at string) {
	switch {
	case s.Exec != nil && s.Exec.Stopped:
		return "stopped", s.Exec.At // how it took that matters to few
	case s.Exec != nil:
		return s.Exec.String(), s.Exec.At
	case s.Schedule == nil || s.Schedule.State == NeverRun:
		return "", ""
	case s.Schedule.State == Running:
		return "started", s.Schedule.ClaimedAt
	case s.Schedule.State == Unknown && s.repeats():
		return "repeated", s.Schedule.ClaimedAt
	case s.Schedule.State == Unknown:
		return "lost", s.Schedule.ClaimedAt
	default:
		return s.Schedule.Last.Outcome, s.Schedule.Last.Ended
	}
}

// repeats says whether somebody holds the shard who starts the tick that was claimed last
// again. That takes no claim, so nothing else tells that it is under way.
func (s Shard) repeats() bool {
	return s.State.Active() && slices.Contains(s.Schedule.Unfinished, s.Schedule.Claimed)
}

// workChange is the line, if any, for something that was done between two looks.
func workChange(line string, before, now Shard) []string {
	was, wasAt := before.done()
	is, at := now.done()
	if is == "" || is == was && at == wasAt {
		return nil
	}
	if s := now.Schedule; s != nil {
		line += "run due " + s.Claimed + " "
		if s.State == Ran {
			is = s.Last.String()
		}
	}
	return []string{line + is}
}

// workDetails are what a shard's work has on record, line by line, for who wants to know all.
func (s Shard) workDetails(now time.Time) []string {
	var lines []string
	if sched := s.Schedule; sched != nil {
		if sched.State == Running || sched.State == Unknown {
			what, _ := s.done()
			lines = append(lines, fmt.Sprintf("Newest run of %s, due %s: %s", s.Name, sched.Claimed, what))
		}
		if sched.Last != nil {
			lines = append(lines, fmt.Sprintf("Last run of %s that ended, due %s: %s", s.Name, sched.Last.Tick, sched.Last))
		}
		if len(sched.Unfinished) > 0 {
			lines = append(lines, fmt.Sprintf("Runs of %s that are started again unless they end: %s", s.Name, some(sched.Unfinished)))
		}
		if sched.Skipped > 0 {
			lines = append(lines, fmt.Sprintf("Skipped by %s: %s, the last one due %s: %s", s.Name, count(int(sched.Skipped), "run"), sched.SkippedLast, sched.SkippedFor))
		}
	}
	if e := s.Exec; e != nil && len(e.Tail) > 0 {
		lines = append(lines, fmt.Sprintf("Last lines of %s, which ended %s ago in %s (%s):", s.Name, age(e.At, now), orNone(e.Pod), e))
		for _, line := range e.Tail {
			lines = append(lines, "    "+line)
		}
	}
	return lines
}

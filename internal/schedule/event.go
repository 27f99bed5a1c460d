// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import "time"

// Event is what a [Machine] is told.
type Event interface{ event() }

// Tick says that time has passed: at the latest when [Machine.Deadline] has come, at
// first as soon as the term has begun. More of them do no harm.
type Tick struct{}

// Entered answers an [Enter]. OK says that the text is on record, written while the term
// was valid; if not it may be there or not.
type Entered struct{ OK bool }

// Ended says that a run has returned: the one of a [Start], also if it could not begin.
type Ended struct {
	Key string
	// Err is what it failed with; empty if it succeeded.
	Err string
	// Interrupted says that it failed after its context had been cancelled: for a [Stop],
	// or because the term ends.
	Interrupted bool
}

// Drain says that the shard is to be given away: nothing more is to start. [Machine.Ledger]
// is the last word as soon as all runs have ended.
type Drain struct{}

func (Tick) event()    {}
func (Entered) event() {}
func (Ended) event()   {}
func (Drain) event()   {}

// Effect is what a [Machine] wants to be done. They are to be carried out in their order.
type Effect interface{ effect() }

// Enter puts a text on record, by compare-and-swap on the shard's Lease, and is answered
// with [Entered]. There is one at a time.
type Enter struct{ Text string }

// Start starts a run, if the term is still valid at that instant, and is answered with
// [Ended].
type Start struct{ Firing }

// Stop cancels the context of a run. Its [Ended] is waited for.
type Stop struct {
	Key string
	// By is the key of the tick that takes its place.
	By string
}

// Skipped tells of ticks that were passed over.
type Skipped struct {
	// Scheduled is the last of them.
	Scheduled time.Time
	// Count is how many there are, at most 10,000: then there may be more.
	Count  int
	Reason Reason
}

// Finished tells how a run has ended.
type Finished struct {
	Key     string
	Outcome Outcome
}

// Unreadable tells that the ledger says nothing that can be read. All ticks up to now,
// and those of the next minute, count as claimed.
type Unreadable struct{ Err error }

// Ahead tells that all ticks up to an instant count as claimed that is more than a minute
// ahead of the clock: this one is slow, or that of a replica was fast that held the shard.
// Nothing starts before.
type Ahead struct{ Until time.Time }

func (Enter) effect()      {}
func (Start) effect()      {}
func (Stop) effect()       {}
func (Skipped) effect()    {}
func (Finished) effect()   {}
func (Unreadable) effect() {}
func (Ahead) effect()      {}

// Firing is one start of a tick.
type Firing struct {
	// Key is the tick's idempotency key: the name of the schedule, a slash, and the tick in
	// RFC 3339, in UTC.
	Key       string
	Schedule  string
	Scheduled time.Time
	Epoch     int32
	Token     int64
	// Repeated says that a run of the tick was begun before, or may have been.
	Repeated bool
}

// Reason says why a tick was passed over.
type Reason string

const (
	// Missed: nobody could start it before the next one was due.
	Missed Reason = "missed"
	// Deadline: it could not be started within the StartingDeadline.
	Deadline Reason = "deadline"
	// Concurrent: it waited for a run to end until the next one was due, or its
	// StartingDeadline was over.
	Concurrent Reason = "concurrency"
	// Suspended: the schedule was.
	Suspended Reason = "suspended"
)

// Reasons are all of them.
func Reasons() []Reason { return []Reason{Missed, Deadline, Concurrent, Suspended} }

// Outcome says how a run ended.
type Outcome string

const (
	// Succeeded: it returned nil.
	Succeeded Outcome = "succeeded"
	// Failed: it returned an error by itself.
	Failed Outcome = "failed"
	// Interrupted: it returned an error after it was cancelled, because the term ended.
	Interrupted Outcome = "interrupted"
	// Replaced: it returned an error after it was cancelled, because a later tick was to
	// take its place.
	Replaced Outcome = "replaced"
	// Unknown: the term ended without a word. A run may have been begun, or not.
	Unknown Outcome = "unknown"
)

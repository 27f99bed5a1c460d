// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"fmt"
	"slices"
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
)

// Entry is what the Lease of a role has said from a revision on.
type Entry struct {
	Revision int64
	Created  time.Time // the Lease: the schedule has had ticks from then on
	Holder   string    // identity; empty: nobody
	Epoch    int32
	// Left is when its last holder had ended all work: it changes when the shard is given away in order, and is zero once it
	// was taken.
	Left   time.Time
	Record schedule.Record
}

// Call is a call of the hook.
type Call struct {
	Role      string
	Key       string
	Scheduled time.Time
	Epoch     int32
	Repeated  bool
	// Answered says that the hook came to its end, whether or not anybody has got the answer.
	Answered bool
}

// Fate is what became of a tick that was claimed.
type Fate string

// The fates. With atMostOnce a tick may be lost or broken off; with atLeastOnce neither, but for the last of all it may be open.
const (
	Finished  Fate = "finished"   // one call, to its end
	BrokenOff Fate = "broken off" // called, but no call came to its end
	Repeated  Fate = "repeated"   // called again, after a call that came to its end or did not
	LateFirst Fate = "recovered"  // the first call that was heard was a repeated one
	Lost      Fate = "lost"       // never called
	Open      Fate = "open"       // on record as unfinished, for the next holder, of whom there was none
)

// Verdict is what has become of the ticks of a role.
type Verdict struct {
	Role Role
	// Ticks are those that were due until the end, Claims those that were claimed, Skipped those that were passed over.
	Ticks, Claims, Skipped int
	// Starts are the calls, Terms the terms with a claim, Withdrawn the claims that were taken back since the term ended in
	// order before anything was started.
	Starts, Terms, Withdrawn int
	// Fates of those that were claimed, by tick.
	Fates map[time.Time]Fate
	// Wrong is everything that must not have happened.
	Wrong []error
}

// Count is how many ticks had that fate.
func (v Verdict) Count(f Fate) (n int) {
	for _, fate := range v.Fates {
		if fate == f {
			n++
		}
	}
	return n
}

// claim is one that was on record, and was not taken back.
type claim struct {
	tick     time.Time
	epoch    int32
	revision int64
}

// judge replays the history of one role.
type judge struct {
	Verdict

	claims []claim // in the order of the ticks
	// inOrder has the terms that gave the shard away after all work had ended; of the others nobody knows.
	inOrder map[int32]bool
	// ended has the ticks of which the record says that a run has ended, and how.
	ended map[time.Time]schedule.Outcome
	open  map[time.Time]bool
	late  int // claims that were given up since it was too late when they were on record
}

// Judge says what has become of a role's ticks. It is a pure function of what its Lease has said from the beginning, oldest
// first, and of all calls of its hook.
func Judge(r Role, history []Entry, calls []Call) Verdict {
	j := &judge{Verdict: Verdict{Role: r, Fates: map[time.Time]Fate{}}, inOrder: map[int32]bool{}, ended: map[time.Time]schedule.Outcome{}, open: map[time.Time]bool{}}
	var last Entry
	for _, e := range history {
		j.follow(last, e)
		last = e
	}
	j.tellTerms()
	j.leaveOpen(last)
	j.match(calls)
	j.account(last)
	return j.Verdict
}

func (j *judge) wrongf(format string, args ...any) {
	j.Wrong = append(j.Wrong, fmt.Errorf(j.Role.Name+": "+format, args...))
}

// follow looks at what an entry says anew.
func (j *judge) follow(last, now Entry) {
	if now.Epoch < last.Epoch {
		j.wrongf("revision %d: epoch %d follows %d", now.Revision, now.Epoch, last.Epoch)
	}
	if !now.Left.IsZero() && !now.Left.Equal(last.Left) {
		j.inOrder[last.Epoch] = true
	}
	before, record := last.Record, now.Record
	if record.Skipped.Count < before.Skipped.Count {
		j.wrongf("revision %d: %d ticks were passed over, and %d before", now.Revision, record.Skipped.Count, before.Skipped.Count)
	}
	if ended := record.Last; !ended.Tick.IsZero() && ended != before.Last {
		j.ended[ended.Tick] = ended.Outcome
	}
	newly := record.Claimed
	switch {
	case newly == before.Claimed:
	case newly.Tick.Before(before.Claimed.Tick):
		j.withdraw(last, now)
	case j.Role.Delivery == schedule.AtLeastOnce && newly.Tick.After(before.Claimed.Tick) && newly.Epoch == last.Epoch && now.Epoch > last.Epoch:
		// The last word of a term whose claim was perhaps not on record: the next one starts the tick.
		j.claims = append(j.claims, claim{tick: newly.Tick, epoch: newly.Epoch, revision: now.Revision})
	case newly.Epoch != now.Epoch || now.Epoch != last.Epoch || now.Holder != last.Holder || now.Holder == "":
		j.wrongf("revision %d: %s was claimed for epoch %d by %q, while the shard was held by %q in epoch %d",
			now.Revision, newly.Tick, newly.Epoch, now.Holder, last.Holder, last.Epoch)
	case newly.Tick.Equal(before.Claimed.Tick) && newly.Epoch == before.Claimed.Epoch: // an entry that was sent again
	case newly.Tick.Equal(before.Claimed.Tick):
		j.wrongf("revision %d: %s was claimed again in epoch %d, after epoch %d", now.Revision, newly.Tick, newly.Epoch, before.Claimed.Epoch)
	default:
		j.claims = append(j.claims, claim{tick: newly.Tick, epoch: newly.Epoch, revision: now.Revision})
	}
	if record.Skipped != before.Skipped && record.Skipped.Tick.Equal(record.Claimed.Tick) {
		j.late++
	}
}

// withdraw takes back claims of which nothing was started: the last word of a term, in the write that ends it.
func (j *judge) withdraw(last, now Entry) {
	if now.Epoch == last.Epoch && now.Holder == last.Holder {
		j.wrongf("revision %d: %q took back the claim of %s, and went on", now.Revision, now.Holder, last.Record.Claimed.Tick)
	}
	for len(j.claims) > 0 && j.claims[len(j.claims)-1].tick.After(now.Record.Claimed.Tick) {
		if back := j.claims[len(j.claims)-1]; back.epoch != last.Epoch {
			j.wrongf("revision %d: %q took back the claim of %s, which was one of epoch %d", now.Revision, now.Holder, back.tick, back.epoch)
		}
		j.claims = j.claims[:len(j.claims)-1]
		j.Withdrawn++
	}
}

func (j *judge) tellTerms() {
	terms := map[int32]bool{}
	for _, c := range j.claims {
		terms[c.epoch] = true
	}
	j.Claims, j.Terms = len(j.claims), len(terms)
}

// leaveOpen finds what the last term of all has left for the next one, given to nobody in order.
func (j *judge) leaveOpen(last Entry) {
	for _, tick := range last.Record.Unfinished {
		mine := slices.ContainsFunc(j.claims, func(c claim) bool { return c.tick.Equal(tick) && c.epoch == last.Epoch })
		if mine && last.Holder == "" && j.inOrder[last.Epoch] {
			j.open[tick] = true
		} else {
			j.wrongf("%s is unfinished in the end", j.Role.key(tick))
		}
	}
}

// match finds the calls of each claim.
func (j *judge) match(calls []Call) {
	of := map[time.Time][]Call{}
	for _, c := range calls {
		if c.Role != j.Role.Name {
			continue
		}
		j.Starts++
		if c.Key != j.Role.key(c.Scheduled) {
			j.wrongf("a call for %s has the key %q", c.Scheduled, c.Key)
		}
		if !slices.ContainsFunc(j.claims, func(cl claim) bool { return cl.tick.Equal(c.Scheduled) }) {
			j.wrongf("%s was started in epoch %d without a claim", c.Key, c.Epoch)
		}
		of[c.Scheduled.UTC()] = append(of[c.Scheduled.UTC()], c)
	}
	for i, c := range j.claims {
		mine := of[c.tick]
		j.checkCalls(c, mine)
		fate := fateOf(mine)
		if j.open[c.tick] {
			fate = Open
		}
		j.Fates[c.tick] = fate
		lastOfTerm := i == len(j.claims)-1 || j.claims[i+1].epoch != c.epoch
		switch {
		case fate == Open:
		case j.Role.Delivery == schedule.AtLeastOnce:
			j.checkSure(c, mine)
		case fate == Lost:
			j.checkLost(c, lastOfTerm)
		}
	}
}

// checkCalls looks at the calls of one tick.
func (j *judge) checkCalls(c claim, calls []Call) {
	if j.Role.Delivery == schedule.AtMostOnce && len(calls) > 1 {
		j.wrongf("%s was started %d times: in epochs %v", j.Role.key(c.tick), len(calls), epochs(calls))
	}
	seen := map[int32]bool{}
	for _, call := range calls {
		switch {
		case call.Repeated && j.Role.Delivery == schedule.AtMostOnce:
			j.wrongf("%s was repeated in epoch %d", call.Key, call.Epoch)
		case call.Repeated && call.Epoch <= c.epoch:
			j.wrongf("%s was claimed in epoch %d and repeated in epoch %d", call.Key, c.epoch, call.Epoch)
		case !call.Repeated && call.Epoch != c.epoch:
			j.wrongf("%s was claimed in epoch %d and started in epoch %d, as if for the first time", call.Key, c.epoch, call.Epoch)
		}
		if seen[call.Epoch] {
			j.wrongf("%s was started twice in epoch %d", call.Key, call.Epoch)
		}
		seen[call.Epoch] = true
	}
}

// checkSure looks at a tick that must have come to its end.
func (j *judge) checkSure(c claim, calls []Call) {
	if !slices.ContainsFunc(calls, func(call Call) bool { return call.Answered }) {
		j.wrongf("%s was claimed in epoch %d, and none of %d calls came to its end", j.Role.key(c.tick), c.epoch, len(calls))
	}
}

// checkLost looks at a tick that was claimed and never started. The only excuse is that the term was over before the start: so
// it was the last claim of the term (but for runs side by side, of which several may be about to be started), the record knows
// of no run, and the shard was not given away in order.
func (j *judge) checkLost(c claim, lastOfTerm bool) {
	switch outcome, ran := j.ended[c.tick]; {
	case ran && (outcome == schedule.Replaced || outcome == schedule.Interrupted || outcome == schedule.Unknown):
	case ran:
		j.wrongf("the record says of %s that it has %s, but the hook was not called", j.Role.key(c.tick), outcome)
		return
	}
	if j.Role.Deadline > 0 && j.late > 0 {
		j.late--
		return
	}
	if j.inOrder[c.epoch] && j.Role.Concurrency != schedule.Replace {
		j.wrongf("%s was claimed in epoch %d and never started, and the shard was given away in order", j.Role.key(c.tick), c.epoch)
	}
	if !lastOfTerm && j.Role.Concurrency == schedule.Forbid {
		j.wrongf("%s was claimed in epoch %d and never started, and the same term went on", j.Role.key(c.tick), c.epoch)
	}
}

// account demands that each tick was either claimed or counted as passed over, and nothing is open.
func (j *judge) account(last Entry) {
	final := last.Record
	j.Skipped = int(final.Skipped.Count)
	until := final.Claimed.Tick
	if final.Skipped.Tick.After(until) {
		until = final.Skipped.Tick
	}
	ticks, err := j.Role.ticks(last.Created, until)
	if err != nil {
		j.wrongf("%w", err)
		return
	}
	j.Ticks = len(ticks)
	for _, c := range j.claims {
		if !ticks[c.tick] {
			j.wrongf("%s was claimed in epoch %d, and is no tick", c.tick, c.epoch)
		}
	}
	if surplus := j.Claims + j.Skipped - j.Ticks; surplus < 0 || surplus > 0 && j.Role.Deadline == 0 {
		j.wrongf("of %d ticks %d were claimed and %d passed over", j.Ticks, j.Claims, j.Skipped)
	}
}

func fateOf(calls []Call) Fate {
	switch {
	case len(calls) == 0:
		return Lost
	case len(calls) == 1 && calls[0].Repeated:
		return LateFirst
	case len(calls) > 1:
		return Repeated
	case calls[0].Answered:
		return Finished
	}
	return BrokenOff
}

func epochs(calls []Call) []int32 {
	var all []int32
	for _, c := range calls {
		all = append(all, c.Epoch)
	}
	return all
}

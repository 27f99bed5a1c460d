// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// History is one random history: faults for a while, under which nothing may be
// violated; then they heal, and every shard has to be held again in time,
// evenly, with nothing but heartbeats from then on.
type History struct {
	World *World
	// Granted are the terms by cause while there were faults.
	Granted map[lease.Cause]int
	// Unheld is how long after the repair the last shard was held again, as a
	// share of what is allowed.
	Unheld float64

	chaos *chaos
	// template, if set, says what happens.
	template *template
	user     *user     // nil: the shards have no objects
	division *division // nil: all families are in one piece
}

// NewHistory makes the history of a seed. It is a function of that.
func NewHistory(seed uint64) *History { return newHistory(seed, nil) }

// NewHistoryOf makes what was kept of the history of a seed.
func NewHistoryOf(seed uint64, only Selection) *History { return newHistory(seed, &only) }

func newHistory(seed uint64, only *Selection) *History {
	w := New(seed, quick[0])
	w.only = only
	c := newChaos(w)
	var shards []string
	for i := range 1 + c.rng.IntN(4) {
		shards = append(shards, fmt.Sprintf("s%d", i+1))
	}
	w.SetShards(shards...)
	h := &History{World: w, chaos: c}
	if c.chance(shareDirected) && c.happens(Directed) {
		h = newDirected(w, c)
	}
	if h.template == nil {
		h.division = c.divide()
	}
	h.keepTime()
	if c.chance(shareWithObjects) && only.objects() {
		h.user = w.populate(c.scale)
	}
	h.keepLedgers()
	return h
}

// Log writes a transcript while the history runs; a verbose one shows what each
// replica sees, too.
func (h *History) Log(transcript io.Writer, verbose bool) {
	h.World.Transcript, h.World.Verbose = transcript, verbose
}

// Run runs it; it returns what was violated first, or nil.
func (h *History) Run() *Violation {
	w, c := h.World, h.chaos
	if h.user != nil {
		h.user.begin()
	}
	if h.template != nil {
		w.logf("*", "directed: %s", h.template.name)
		h.template.run(&director{chaos: c, h: h})
	} else {
		h.wander()
	}
	h.Granted = maps.Clone(w.Checks.Granted)
	if w.Checks.Violation != nil {
		return w.Checks.Violation
	}
	c.heal()
	h.converge()
	h.steady()
	h.punctual()
	return w.Checks.Violation
}

// wander lets random faults happen for a while.
func (h *History) wander() {
	w, c := h.World, h.chaos
	if c.chance(0.5) {
		w.InstallLayout()
	}
	for range 1 + c.rng.IntN(3) {
		w.after(Span{0, c.scale}.draw(c.rng), func() { c.join() })
	}
	c.begin()
	c.hesitate()
	if h.division != nil {
		h.division.begin()
	}
	if w.schedules != nil {
		w.schedules.begin()
	}
	w.Run(Span{2 * c.scale, 10 * c.scale}.draw(c.rng))
}

// slowly is how long the machine with the slowest clock takes for d.
func (h *History) slowly(d time.Duration) time.Duration {
	return Clock{Rate: h.chaos.slowest}.true(d)
}

// converge waits until every key has an owner, then until families are divided as
// they should be, and then until shares are even.
func (h *History) converge() {
	w := h.World
	repaired := w.now
	limit := h.heldAgain()
	if !w.Until(limit, h.owned) {
		w.violatef(nil, "liveness", "held %s after the repair: %s; %s", limit, w.Holders(), w.records())
	}
	h.Unheld = float64(w.now-repaired) / float64(limit)
	// The dead have a share, and a session, until their LeaseDuration has passed
	// for somebody who sees.
	w.Run(max(h.slowly(h.chaos.scale)+time.Second, repaired+limit-w.now))
	if h.division != nil && !w.Until(h.redivided(), h.allHeld) {
		w.violatef(nil, "liveness", "divided %s after the repair: %s; %s", h.redivided(), w.Holders(), w.records())
	}
	limit = 4 * (h.slowly(Cooldown) + w.Faults.WorkReturns.Most)
	if !w.Until(limit, h.even) {
		w.violatef(nil, "balance", "%s after the repair: %s", limit, w.Holders())
	}
	w.checkAnswered()
	// Only now: who holds a shard when the faults heal may not know yet that its
	// Lease is gone, and the next one has to wait (R6b).
	w.reconciled()
}

// heldAgain is how long after the repair every shard is held again: a request
// that was lost has to time out, and the back-off to pass, before the session is
// valid; from then on a LeaseDuration has to pass (R15); and a second is for
// confirming the view, ending the session, claiming the shard, and for waiting
// in turn. All of it by the slowest clock. A 429 may have asked for a pause, of
// which half a RenewInterval is granted. A record without labels is found only
// when somebody wants to end its session: its silence is observed from then on.
// Where a family is divided anew, and somebody else had his hands on its Leases, an
// old one may have to be waited for, and a new one made anew, one after the other;
// all of that once more if the record has to be found out again.
// Where nothing was lost, it is a LeaseDuration and a second: see
// [director.crash].
func (h *History) heldAgain() time.Duration {
	var lost time.Duration
	for _, t := range h.chaos.timings {
		pause := t.RenewInterval / 4
		if h.World.Checks.Faults[Refused429] > 0 {
			pause += t.RenewInterval / 2
		}
		lost = max(lost, t.RequestTimeout()+pause)
	}
	silence := h.chaos.scale
	if h.World.Server.hidesMember() {
		silence *= 2
	}
	if faults := h.World.Checks.Faults; h.division != nil && faults[LeaseDeleted]+faults[LeaseRestored]+faults[ForeignElector] > 0 {
		silence += 2 * h.chaos.scale
		if h.World.recordTouched() {
			silence += 2 * h.chaos.scale
		}
	}
	return h.slowly(lost + silence + time.Second)
}

func (w *World) records() string {
	var records []string
	for _, shard := range w.ShardNames() {
		records = append(records, shard+" "+w.Server.heldBy(shard))
	}
	return strings.Join(records, ", ")
}

func (h *History) allHeld() bool {
	if !h.World.divided() {
		return false
	}
	for _, s := range h.World.Config.Shards {
		for _, b := range bucketsOf(s) {
			name := lease.ShardName(s.Name, b)
			if r := h.World.Holder(name); r == nil || r.Terms[name].Bucket != b {
				return false
			}
		}
	}
	return true
}

// even tells whether everything is held, by those that stay, and nothing is about
// to move: the shares in the newest revision are within one of each other, and
// of those in older ones, as far as the fair share goes.
func (h *History) even() bool {
	w := h.World
	alive := w.Alive()
	shares := make([]int, len(alive))
	for i, r := range alive {
		if r.leaving || r.ending() {
			return false
		}
		for _, shard := range w.ShardNames() {
			if r.Holds(shard) {
				shares[i]++
			}
		}
	}
	newest, most := fairShare(alive, len(w.ShardNames()))
	for i := range alive {
		for j, other := range alive {
			// Only the newest revision is given anything.
			if other.Config.Revision == newest && shares[i]-shares[j] > 1 && shares[j] < most {
				return false
			}
		}
	}
	return w.toMove == 0 && h.allHeld()
}

// fairShare is the newest revision, and how many idle shards are given to a member
// of it while members of older ones are live.
func fairShare(alive []*Replica, shards int) (newest int64, most int) {
	for _, r := range alive {
		newest = max(newest, r.Config.Revision)
	}
	members, target := 0, 0
	for _, r := range alive {
		if r.Config.Revision == newest {
			members++
			target = max(target, r.Config.TargetReplicas)
		}
	}
	if members == len(alive) {
		return newest, shards
	}
	if target == 0 {
		target = len(alive)
	}
	// One shard is given to each, however many more they are.
	return newest, max(shards/max(target, members), 1)
}

// minWatched is how long a stable group is watched at least.
const minWatched = 4 * time.Second

// watched is long enough for two heartbeats of everybody.
func (h *History) watched() time.Duration {
	watched := minWatched
	for _, r := range h.World.Alive() {
		watched = max(watched, 2*r.Clock.true(r.Config.Timings.RenewInterval))
	}
	return watched
}

// steady checks that a group left alone moves nothing and sends heartbeats, in
// lease mode one renewal per shard and RenewInterval, and nothing else.
func (h *History) steady() {
	w := h.World
	if w.Checks.Violation != nil {
		return
	}
	w.Run(time.Second) // what became due just now is still under way
	w.Forget()
	before := w.Holders()
	watched, strays := h.watched(), w.strays()
	w.Run(watched)
	checks := &w.Checks
	if now := w.Holders(); now != before {
		w.violatef(nil, "stability", "a stable group moved: %s, then %s", before, now)
	}
	if len(checks.Granted) > 0 || checks.Passed > 0 || checks.Revoked > 0 {
		w.violatef(nil, "stability", "a stable group moved: %v granted, %d passed on, %d revoked", checks.Granted, checks.Passed, checks.Revoked)
	}
	heartbeats, renewals := h.due(watched)
	allowed := map[string]int{"heartbeat": heartbeats, "renew": renewals, "bury": len(w.Replicas) + strays, "record layout": strays + 4}
	if strays > 0 { // two may write the record at once
		allowed["read again after a conflict"] = strays + 4
	}
	if s := w.schedules; s != nil { // a claim and a note for each tick, and a note for what was skipped
		allowed["enter"] = 3 * (int(watched/s.period) + 1)
		allowed["renew"] += allowed["enter"]
	}
	for why, n := range checks.Requests {
		if n > allowed[why] {
			w.violatef(nil, "stability", "a stable group sent %v, want no more than %v", checks.Requests, allowed)
		}
	}
	w.checkFence()
}

// due is how many heartbeats, and renewals of terms, the group may send in d.
func (h *History) due(d time.Duration) (heartbeats, renewals int) {
	for _, r := range h.World.Alive() {
		per := int(d/r.Clock.true(r.Config.Timings.RenewInterval)) + 1
		heartbeats += per
		for _, held := range r.Terms {
			if held.Mode == lease.LeaseMode {
				renewals += per
			}
		}
	}
	return heartbeats, renewals
}

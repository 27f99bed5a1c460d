// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// chaos makes things go wrong in a history, until the faults heal. Which kinds
// of faults there are, and how often, is drawn once per history (swarm testing:
// Groce et al., ISSTA 2012): a history with all of them at once never gets far
// enough to meet the rarer states.
type chaos struct {
	w *World
	source
	// scale is about a LeaseDuration.
	scale time.Duration
	// timings and modes are those that replicas draw theirs from.
	timings []lease.Timings
	modes   []lease.Mode
	actions []func()
	// deaths is the chance of a death to be reported to another replica, after
	// a delay.
	deaths     float64
	deathDelay Span
	interval   Span
	whiles     Span // how long what lasts, lasts
	healed     bool
	rolling    bool // a rolling update is under way
	revision   int64
	pods       int
	// slowest and fastest are the rates of the clocks, in thousandths.
	slowest, fastest int64
	dead             []*Replica
}

// quick are timings that make histories short. Nothing depends on their scale.
var quick = []lease.Timings{
	{LeaseDuration: 2 * time.Second, RenewDeadline: 1200 * time.Millisecond, RenewInterval: 500 * time.Millisecond},
	{LeaseDuration: 3 * time.Second, RenewDeadline: 1700 * time.Millisecond, RenewInterval: 400 * time.Millisecond},
	{LeaseDuration: 4 * time.Second, RenewDeadline: 2 * time.Second, RenewInterval: 900 * time.Millisecond},
}

// presets are the timings that ship.
var presets = []lease.Timings{lease.Fast, lease.Default, lease.Relaxed}

const (
	// shareOfPresets of the histories have timings that ship.
	shareOfPresets = 0.03
	// shareBeyond of them have clocks further apart than R8 allows for.
	shareBeyond = 0.05
)

// newChaos draws which faults a history has.
func newChaos(w *World) *chaos {
	c := &chaos{w: w, source: w.newSource(), modes: []lease.Mode{lease.SessionMode}}
	c.drawTimings()
	c.drawModes()
	c.drawFaults()
	c.drawActions()
	c.drawClocks()
	return c
}

func (c *chaos) drawTimings() {
	kind := quick
	c.whiles = Span{0, 0}
	if c.chance(shareOfPresets) {
		kind = presets
		c.whiles.Most = 2 * time.Minute
	}
	c.timings = kind[c.rng.IntN(len(kind)):][:1]
	if c.strikes(MixedTimings, 0.3) {
		c.timings = kind
	}
	for _, t := range c.timings {
		c.scale = max(c.scale, t.LeaseDuration)
	}
	c.whiles.Most = max(c.whiles.Most, 3*c.scale)
	c.w.Config.Timings = c.timings[0]
}

func (c *chaos) drawModes() {
	switch {
	case c.chance(0.3):
		c.modes = []lease.Mode{lease.LeaseMode}
	case c.strikes(MixedModes, 0.3):
		c.modes = []lease.Mode{lease.SessionMode, lease.LeaseMode}
	}
}

// drawFaults draws what strikes requests and events.
func (c *chaos) drawFaults() {
	f := &c.w.Faults
	maybe := func(p float64) float64 {
		if c.chance(0.3) {
			return p * c.rng.Float64()
		}
		return 0
	}
	ms := func(most int) Span { return Span{0, time.Duration(1+c.rng.IntN(most)) * time.Millisecond} }
	f.Request, f.Reply, f.WatchDelay = ms(30), ms(30), ms(30)
	if c.chance(0.3) {
		f.WatchDelay = ms(int(c.scale.Milliseconds()) / 3)
	}
	if c.chance(0.3) {
		f.Reply = ms(int(c.scale.Milliseconds()) / 4)
	}
	f.TimerSlack = ms(20)
	f.WorkReturns = ms(3000)
	f.lost, f.mute = maybe(0.3), maybe(0.3)
	f.conflict, f.throttled, f.rejected = maybe(0.2), maybe(0.2), maybe(0.1)
	f.serverError, f.gatewayTimeout = maybe(0.2), maybe(0.2)
	f.late, f.lateness = maybe(0.2), Span{0, max(6*c.scale, c.whiles.Most/2)}
	f.repeated, f.bookmark, f.twice = maybe(0.3), maybe(0.3), maybe(0.2)
	if c.chance(0.5) {
		f.staleList = c.rng.IntN(30)
	}
	f.pausedInStep, f.pause = maybe(0.01), c.whiles
}

// drawActions draws what strikes now and then, and how often.
func (c *chaos) drawActions() {
	for _, action := range []func(){
		c.pauseOne, c.crashOne, c.leaveOne, c.joinOne, c.rollOver, c.deleteLease, c.unlabelLease, c.annotateLease,
		c.restoreLease, c.foreignOne, c.stallWatch, c.breakWatch, c.compact, c.cutOne, c.cutOneWay, c.cutAll,
		c.reconfigureOne, c.unreadyOne, c.quitOne, c.reportLongDead,
	} {
		if c.chance(0.3) {
			c.actions = append(c.actions, action)
		}
	}
	c.interval = Span{0, time.Duration(1+c.rng.IntN(8)) * c.scale / 4}
	if c.chance(0.6) {
		c.deaths = c.rng.Float64()
		c.deathDelay = Span{0, time.Duration(1+c.rng.IntN(8)) * c.scale / 4}
	}
}

// drawClocks: the slowest clock makes the others wait longest; the fastest ends
// waits early. R8 bounds how far they may be apart.
func (c *chaos) drawClocks() {
	c.slowest, c.fastest = 1000, 1000
	bound := c.bound()
	switch {
	case c.chance(shareBeyond):
		c.w.Checks.beyond = true
		c.slowest = 500 + c.rng.Int64N(300)
		c.fastest = int64(float64(c.slowest) * bound * (1.1 + c.rng.Float64()))
	case c.chance(0.5):
		c.slowest = 1000 - c.rng.Int64N(250)
		c.fastest = int64(float64(c.slowest) * (bound - 0.01))
	}
}

// bound is how many times faster than the slowest the fastest clock may run.
func (c *chaos) bound() float64 {
	bound := c.timings[0].ClockRateBound()
	for _, t := range c.timings {
		bound = min(bound, t.ClockRateBound())
	}
	return bound
}

// begin makes faults happen from now on.
func (c *chaos) begin() {
	c.w.after(c.interval.draw(c.rng), func() {
		if c.healed || len(c.actions) == 0 {
			return
		}
		c.actions[c.rng.IntN(len(c.actions))]()
		c.begin()
	})
}

// heal ends all faults: what is still under way is carried out soon or never,
// what is paused goes on, and there is at least one replica.
func (c *chaos) heal() {
	w := c.w
	c.healed = true
	w.logf("*", "all faults heal")
	w.Faults = Calm
	w.Faults.WorkReturns = Span{0, time.Second}
	w.healedAt = w.now
	w.Fate = nil
	for _, r := range w.Alive() {
		r.CutRequests, r.CutReplies = 0, 0
		r.Watch.Stalled = w.now
		r.Watch.arrives = min(r.Watch.arrives, w.now+settling)
		r.Watch.BreakOff(0, c.chance(0.5))
		r.resume()
		r.repair()
		r.Deliver(lease.Configured{Shards: w.Config.Shards})
		r.Deliver(lease.Reported{Ready: true, Declines: map[string]lease.Cause{}, Busy: map[string]bool{}})
	}
	if w.schedules != nil {
		w.schedules.repair()
	}
	if !slices.ContainsFunc(w.Alive(), func(r *Replica) bool { return !r.leaving }) {
		c.join()
	}
}

// join starts a replica on a machine of its own.
func (c *chaos) join() *Replica {
	c.pods++
	cfg := c.w.Config
	cfg.Revision = c.revision
	cfg.Timings = c.timings[c.rng.IntN(len(c.timings))]
	cfg.Mode = c.modes[c.rng.IntN(len(c.modes))]
	clock := Clock{Offset: lease.Instant(c.rng.Int64N(int64(1000 * time.Hour))), Rate: c.rate()}
	name := string(rune('a'+(c.pods-1)%26)) + strings.Repeat("x", (c.pods-1)/26)
	r := c.w.StartOn(name, clock, cfg)
	r.wall = Span{-time.Hour, time.Hour}.draw(c.rng)
	return r
}

// rate draws that of a clock.
func (c *chaos) rate() int64 {
	if c.slowest == c.fastest || !c.strikes(ClocksApart, 0.9) {
		return 1000
	}
	switch c.rng.IntN(4) {
	case 0:
		return c.slowest
	case 1:
		return c.fastest
	default:
		return c.slowest + c.rng.Int64N(c.fastest-c.slowest)
	}
}

func (c *chaos) one() *Replica {
	alive := c.w.Alive()
	if len(alive) == 0 {
		return nil
	}
	return alive[c.rng.IntN(len(alive))]
}

func (c *chaos) while() time.Duration { return c.whiles.draw(c.rng) }

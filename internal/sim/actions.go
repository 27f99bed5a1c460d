// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// What chaos does to replicas.

// maxReplicas bounds a history.
const maxReplicas = 4

func (c *chaos) joinOne() {
	if len(c.w.Alive()) < maxReplicas && c.happens(Joined) {
		c.join()
	}
}

func (c *chaos) pauseOne() {
	if r, d := c.one(), c.while(); r != nil && c.happens(Paused) {
		r.Pause(d)
	}
}

// crashOne kills a process, as crash does: mostly it comes back, in the same Pod or in
// another.
func (c *chaos) crashOne() {
	r := c.one()
	if r != nil && c.happens(Crashed) {
		c.crash(r)
	}
}

func (c *chaos) crash(r *Replica) {
	r.Crash()
	c.reportDeath(r)
	samePod := c.chance(0.5)
	if c.chance(0.2) {
		return
	}
	c.w.after(c.while(), func() {
		switch {
		case c.healed:
		case samePod && c.happens(RestartedInPod):
			c.w.Restart(r)
		case !samePod && c.happens(RestartedElsewhere):
			c.join()
		}
	})
}

// reportDeath tells the others, each after a while and some never, that a
// process has ended.
func (c *chaos) reportDeath(dead *Replica) {
	c.dead = append(c.dead, dead)
	for _, r := range c.w.Alive() {
		if !c.strikes(DeathReported, c.deaths) {
			continue
		}
		c.w.after(c.deathDelay.draw(c.rng), func() { r.Deliver(lease.Died{Replica: dead.Process}) })
	}
}

// reportLongDead reports a death again, as a restarted Pod watch does, or for
// the first time long after it; also of one that has left.
func (c *chaos) reportLongDead() {
	r := c.one()
	ended := slices.DeleteFunc(slices.Clone(c.w.Replicas), func(r *Replica) bool { return !r.Gone })
	if r == nil || len(ended) == 0 {
		return
	}
	if dead := ended[c.rng.IntN(len(ended))]; c.happens(DeathRepeated) {
		r.Deliver(lease.Died{Replica: dead.Process})
	}
}

// leaveOne takes one away, with or without one that comes for it.
func (c *chaos) leaveOne() {
	if r := c.one(); r != nil && c.happens(ToldToLeave) {
		c.leave(r)
	}
}

func (c *chaos) leave(r *Replica) {
	c.w.logf(r.Name, "is told to leave")
	r.Deliver(lease.Leave{})
}

// rollOver replaces one after the other by one of a newer revision, as a rolling
// update of a Deployment does.
func (c *chaos) rollOver() {
	if c.rolling || len(c.w.Alive()) > maxReplicas || !c.happens(RollingUpdate) {
		return
	}
	c.w.logf("*", "a rolling update begins")
	c.rolling = true
	c.revision++
	c.replace(c.w.Alive())
}

// replace starts a new replica, then takes the first of the old ones away, and
// so on.
func (c *chaos) replace(old []*Replica) {
	if c.healed || len(old) == 0 {
		c.rolling = false
		return
	}
	c.join()
	c.w.after(c.interval.draw(c.rng), func() {
		if !c.healed {
			c.leave(old[0])
			c.w.after(c.interval.draw(c.rng), func() { c.replace(old[1:]) })
		}
	})
}

func (c *chaos) stallWatch() {
	if r, d := c.one(), c.while(); r != nil && c.happens(WatchStalled) {
		c.w.logf(r.Name, "watch stalls for %s", d)
		r.Watch.Stalled = c.w.now + d
	}
}

func (c *chaos) breakWatch() {
	if r, d, relist := c.one(), c.while()/4, c.chance(0.5); r != nil && c.happens(WatchBroken) {
		c.w.logf(r.Name, "watch breaks")
		r.Watch.BreakOff(d, relist)
	}
}

// compact makes the API server forget its history: a watch that broke off
// before, as one does now, has to list.
func (c *chaos) compact() {
	s := c.w.Server
	if r, d := c.one(), c.while()/4; r != nil && c.happens(Compacted) {
		c.w.logf("*", "the history is compacted; the watch of %s breaks", r.Name)
		s.compacted = s.rv
		r.Watch.BreakOff(d, false)
	}
}

// What a cut loses.
const (
	cutRequests = 1 << iota
	cutReplies
	cutWatch
	cutBoth = cutRequests | cutReplies | cutWatch
)

// cutOne parts one replica from the API server.
func (c *chaos) cutOne() {
	if r, until := c.one(), c.w.now+c.while(); r != nil && c.happens(CutOff) {
		c.cut(r, until, cutBoth)
	}
}

// cutOneWay does so in one direction: requests are lost; or replies, the watch
// or both.
func (c *chaos) cutOneWay() {
	ways := []int{cutRequests, cutReplies, cutWatch, cutReplies | cutWatch}
	if r, until, what := c.one(), c.w.now+c.while(), ways[c.rng.IntN(len(ways))]; r != nil && c.happens(CutOneWay) {
		c.cut(r, until, what)
	}
}

// cutAll is an outage of the API server.
func (c *chaos) cutAll() {
	until := c.w.now + c.while()
	if !c.happens(Outage) {
		return
	}
	for _, r := range c.w.Alive() {
		c.cut(r, until, cutBoth)
	}
}

func (c *chaos) cut(r *Replica, until time.Duration, what int) {
	c.w.logf(r.Name, "is cut off until %.3f s%s", until.Seconds(), oneWay(what))
	if what&cutRequests != 0 {
		r.CutRequests = until
	}
	if what&cutReplies != 0 {
		r.CutReplies = until
	}
	if what&cutWatch != 0 {
		r.Watch.Stalled = until
	}
}

func oneWay(what int) string {
	switch what {
	case cutRequests:
		return ": its requests are lost"
	case cutReplies:
		return ": replies are lost"
	case cutWatch:
		return ": its watch shows nothing"
	case cutReplies | cutWatch:
		return ": replies are lost and its watch shows nothing"
	default:
		return ""
	}
}

func (c *chaos) reconfigureOne() {
	r := c.one()
	if r == nil || !c.happens(Reconfigured) {
		return
	}
	var some []lease.ShardSpec
	var served []string
	for _, s := range c.w.Config.Shards {
		if c.chance(0.6) {
			some, served = append(some, s), append(served, s.Name)
		}
	}
	c.w.logf(r.Name, "is configured for %v", served)
	r.Deliver(lease.Configured{Shards: some})
}

// quitOne ends the work of a term without having been told to: so it does when
// it sees that the validity has passed, just before that is extended.
func (c *chaos) quitOne() {
	r := c.one()
	if r == nil || len(r.Terms) == 0 {
		return
	}
	shards := slices.Sorted(maps.Keys(r.Terms))
	t := r.Terms[shards[c.rng.IntN(len(shards))]].Term
	if c.happens(WorkEndedByItself) {
		c.w.logf(r.Name, "work of %s epoch %d ends by itself", t.Shard, t.Epoch)
		r.quitWork(t)
	}
}

func (c *chaos) unreadyOne() {
	if r, ready := c.one(), c.chance(0.5); r != nil && c.happens(ReadinessChanged) {
		c.w.logf(r.Name, "reports ready=%t", ready)
		r.Deliver(lease.Reported{Ready: ready})
	}
}

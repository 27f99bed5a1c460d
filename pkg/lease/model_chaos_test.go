// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// faults are those in force: how long things take, and how often they fail.
type faults struct {
	request, reply, watchDelay span
	timerSlack                 span
	workReturns                span

	// Chances of a request: never to get there, never to be answered, to be
	// answered without being carried out, to be held back for long.
	lost, mute                               float64
	conflict, throttled, rejected, serverErr float64
	late                                     float64
	lateness                                 span

	repeated     float64 // chance of a reply or an event to come twice
	bookmark     float64 // chance of a bookmark after an event
	staleList    int     // how many states a list may be behind
	pausedInStep float64 // chance of a pause between two effects
	pause        span
}

// calm is a group in which nothing goes wrong.
var calm = faults{
	request:     span{time.Millisecond, time.Millisecond},
	reply:       span{time.Millisecond, time.Millisecond},
	watchDelay:  span{time.Millisecond, time.Millisecond},
	workReturns: span{10 * time.Millisecond, 10 * time.Millisecond},
}

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// drawFate decides what becomes of a request.
func (w *world) drawFate(r *modelReplica) fate {
	f := &w.faults
	drawn := fate{
		lost:    w.now < r.cutRequests || w.chance(f.lost),
		mute:    w.now < r.cutReplies || w.chance(f.mute),
		request: f.request.draw(w.rng),
		reply:   f.reply.draw(w.rng),
	}
	if w.chance(f.late) {
		drawn.request += f.lateness.draw(w.rng)
	}
	if w.chance(f.late) {
		drawn.reply += f.lateness.draw(w.rng)
	}
	switch {
	case w.chance(f.conflict):
		drawn.refusal = Conflict
	case w.chance(f.throttled):
		drawn.refusal = Throttled
	case w.chance(f.rejected):
		drawn.refusal = Rejected
	case w.chance(f.serverErr):
		drawn.refusal = Unknown
	}
	return drawn
}

// chaos makes things go wrong in a history, until the faults heal. Which kinds
// of faults there are, and how often, is drawn once per history.
type chaos struct {
	w *world
	// scale is about a LeaseDuration.
	scale    time.Duration
	mixed    bool // replicas have timings of their own
	kinds    []func()
	interval span
	healed   bool
	revision int64
	pods     int
	clocks   span // of machines, in thousandths
}

// newChaos draws which faults a history has.
func newChaos(w *world) *chaos {
	c := &chaos{w: w, scale: w.config.Timings.LeaseDuration, mixed: w.chance(0.3)}
	bound := w.config.Timings.ClockRateBound()
	for _, t := range quick {
		if c.mixed {
			c.scale, bound = max(c.scale, t.LeaseDuration), min(bound, t.ClockRateBound())
		}
	}
	c.drawFaults()
	for _, kind := range []func(){
		c.pauseOne, c.crashOne, c.leaveOne, c.joinOne, c.deleteLease, c.unlabelLease, c.touchLease,
		c.restoreLease, c.foreignOne, c.stallWatch, c.breakWatch, c.cutOne, c.cutAll, c.reconfigureOne, c.unreadyOne, c.quitOne,
	} {
		if w.chance(0.35) {
			c.kinds = append(c.kinds, kind)
		}
	}
	c.interval = span{0, time.Duration(1+w.rng.IntN(8)) * c.scale / 4}
	// The slowest clock makes the others wait longest; the fastest ends waits
	// early. R8 bounds how far they may be apart.
	c.clocks = span{1000, 1000}
	if w.chance(0.5) {
		slowest := 1000 - w.rng.Int64N(250)
		c.clocks = span{time.Duration(slowest), time.Duration(float64(slowest) * (bound - 0.01))}
	}
	return c
}

func (c *chaos) drawFaults() {
	w := c.w
	f := &w.faults
	maybe := func(p float64) float64 {
		if w.chance(0.3) {
			return p * w.rng.Float64()
		}
		return 0
	}
	ms := func(most int) span { return span{0, time.Duration(1+w.rng.IntN(most)) * time.Millisecond} }
	f.request, f.reply, f.watchDelay = ms(30), ms(30), ms(30)
	if w.chance(0.3) {
		f.watchDelay = ms(int(c.scale.Milliseconds()) / 3)
	}
	if w.chance(0.3) {
		f.reply = ms(int(c.scale.Milliseconds()) / 4)
	}
	f.timerSlack = ms(20)
	f.workReturns = ms(3000)
	f.lost, f.mute = maybe(0.3), maybe(0.3)
	f.conflict, f.throttled, f.rejected, f.serverErr = maybe(0.2), maybe(0.2), maybe(0.1), maybe(0.2)
	f.late, f.lateness = maybe(0.2), span{0, 6 * c.scale}
	f.repeated, f.bookmark = maybe(0.3), maybe(0.3)
	if w.chance(0.5) {
		f.staleList = w.rng.IntN(30)
	}
	f.pausedInStep, f.pause = maybe(0.01), span{0, 3 * c.scale}
}

// begin makes faults happen from now on.
func (c *chaos) begin() {
	c.w.after(c.interval.draw(c.w.rng), func() {
		if c.healed || len(c.kinds) == 0 {
			return
		}
		c.kinds[c.w.rng.IntN(len(c.kinds))]()
		c.begin()
	})
}

// heal ends all faults: what is still under way is carried out soon or never,
// what is paused goes on, and there is at least one replica.
func (c *chaos) heal() {
	w := c.w
	c.healed = true
	w.logf("*", "all faults heal")
	w.faults = calm
	w.faults.workReturns = span{0, time.Second}
	w.healedAt = w.now
	for _, r := range w.alive() {
		r.cutRequests, r.cutReplies = 0, 0
		r.watch.stalled = w.now
		r.watch.arrives = min(r.watch.arrives, w.now+time.Second)
		r.watch.breakOff(0, w.chance(0.5))
		r.resume()
		r.deliver(Configured{Shards: w.config.Shards})
		r.deliver(Reported{Ready: true})
	}
	staying := slices.DeleteFunc(w.alive(), func(r *modelReplica) bool { return r.election.leaving })
	if len(staying) == 0 {
		c.join()
	}
}

// join starts a replica on a machine of its own.
func (c *chaos) join() {
	c.pods++
	w := c.w
	cfg := w.config
	cfg.Revision = c.revision
	if c.mixed {
		cfg.Timings = quick[w.rng.IntN(len(quick))]
	}
	clock := modelClock{offset: Instant(w.rng.Int64N(int64(1000 * time.Hour))), rate: int64(c.clocks.draw(w.rng))}
	name := string(rune('a'+(c.pods-1)%26)) + strings.Repeat("x", (c.pods-1)/26)
	r := w.startOn(name, "uid-of-"+name, clock, cfg)
	r.wall = span{-time.Hour, time.Hour}.draw(w.rng)
}

// maxReplicas bounds a history.
const maxReplicas = 4

func (c *chaos) joinOne() {
	if len(c.w.alive()) < maxReplicas {
		c.join()
	}
}

func (c *chaos) one() *modelReplica {
	alive := c.w.alive()
	if len(alive) == 0 {
		return nil
	}
	return alive[c.w.rng.IntN(len(alive))]
}

func (c *chaos) while() time.Duration { return span{0, 3 * c.scale}.draw(c.w.rng) }

func (c *chaos) pauseOne() {
	if r := c.one(); r != nil {
		r.pause(c.while())
	}
}

// crashOne kills a process; mostly it comes back, in the same Pod or in another.
func (c *chaos) crashOne() {
	r := c.one()
	if r == nil {
		return
	}
	r.crash()
	samePod := c.w.chance(0.5)
	if c.w.chance(0.2) {
		return
	}
	c.w.after(c.while(), func() {
		switch {
		case c.healed:
		case samePod:
			c.w.restart(r)
		default:
			c.joinOne()
		}
	})
}

// leaveOne is what a rolling update does: one leaves, a newer one comes.
func (c *chaos) leaveOne() {
	r := c.one()
	if r == nil {
		return
	}
	c.w.logf(r.name, "is told to leave")
	c.revision++
	r.deliver(Leave{})
	c.joinOne()
}

// aged tells whether a Lease has existed for a second: one deleted in the second
// of its creation could come back with a lower fencing token (R7).
func (c *chaos) aged(l *coordinationv1.Lease) bool {
	return time.Duration(l.CreationTimestamp.Unix()-serverEpoch+2)*time.Second < c.w.now
}

// anyLease picks a Lease that has existed for a while.
func (c *chaos) anyLease() string {
	var old []string
	for _, name := range sortedKeys(c.w.server.leases) {
		if c.aged(c.w.server.leases[name]) {
			old = append(old, name)
		}
	}
	if len(old) == 0 {
		return ""
	}
	return old[c.w.rng.IntN(len(old))]
}

func (c *chaos) deleteLease() {
	name := c.anyLease()
	c.w.logf("*", "deletes %s", name)
	c.w.server.remove(name)
}

// restoreLease puts a shard's Lease back as it was some time ago, as a new one.
func (c *chaos) restoreLease() {
	s := c.w.server
	var old []*coordinationv1.Lease
	for _, change := range s.history {
		if change.after != nil && change.after.Labels[LabelKind] == KindShard {
			old = append(old, change.after)
		}
	}
	if len(old) == 0 {
		return
	}
	backup := old[c.w.rng.IntN(len(old))]
	if current := s.leases[backup.Name]; current != nil && !c.aged(current) {
		return
	}
	c.w.logf("*", "restores %s", describeLease(backup))
	s.remove(backup.Name)
	s.create(c.w.now, backup)
}

// foreignOne is an elector that knows the standard rules only: it makes the
// Lease, takes one that is free, or renews its own; and may be gone at any time.
func (c *chaos) foreignOne() {
	shards := c.w.config.Shards
	name := ShardLeaseName(modelGroup, shards[c.w.rng.IntN(len(shards))].Name)
	hold := func(l *coordinationv1.Lease) {
		if ptr.Deref(l.Spec.HolderIdentity, "") == "" {
			l.Spec.LeaseTransitions = ptr.To(ptr.Deref(l.Spec.LeaseTransitions, -1) + 1)
		}
		l.Spec.HolderIdentity = ptr.To("somebody-else")
		l.Spec.LeaseDurationSeconds = ptr.To(1 + c.w.rng.Int32N(3))
		l.Spec.RenewTime = ptr.To(metav1.NewMicroTime(time.Unix(serverEpoch, 0).Add(c.w.now)))
	}
	current := c.w.server.leases[name]
	switch {
	case current == nil:
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
		hold(l)
		c.w.server.create(c.w.now, l)
	case ptr.Deref(current.Spec.HolderIdentity, "") == "" || *current.Spec.HolderIdentity == "somebody-else":
		c.w.server.edit(name, hold)
	default:
		return
	}
	c.w.logf("*", "somebody else holds %s", name)
}

func (c *chaos) unlabelLease() {
	name := c.anyLease()
	c.w.logf("*", "takes the labels of %s away", name)
	c.w.server.edit(name, func(l *coordinationv1.Lease) { l.Labels = nil })
}

func (c *chaos) touchLease() {
	name := c.anyLease()
	c.w.logf("*", "annotates %s", name)
	c.w.server.edit(name, func(l *coordinationv1.Lease) {
		l.Annotations = annotate(l.Annotations, map[string]string{"example.com/note": fmt.Sprint(c.w.server.rv)})
	})
}

func (c *chaos) stallWatch() {
	if r := c.one(); r != nil {
		d := c.while()
		c.w.logf(r.name, "watch stalls for %s", d)
		r.watch.stalled = c.w.now + d
	}
}

func (c *chaos) breakWatch() {
	if r := c.one(); r != nil {
		c.w.logf(r.name, "watch breaks")
		r.watch.breakOff(c.while()/4, c.w.chance(0.5))
	}
}

// cutOne parts one replica from the API server, in one direction or both.
func (c *chaos) cutOne() {
	if r := c.one(); r != nil {
		c.cut(r, c.w.now+c.while(), c.w.rng.IntN(7)+1)
	}
}

func (c *chaos) cut(r *modelReplica, until time.Duration, what int) {
	c.w.logf(r.name, "cut until %.3f s (%03b)", until.Seconds(), what)
	if what&1 != 0 {
		r.cutRequests = until
	}
	if what&2 != 0 {
		r.cutReplies = until
	}
	if what&4 != 0 {
		r.watch.stalled = until
	}
}

// cutAll is an outage of the API server.
func (c *chaos) cutAll() {
	until := c.w.now + c.while()
	for _, r := range c.w.alive() {
		c.cut(r, until, 7)
	}
}

func (c *chaos) reconfigureOne() {
	r := c.one()
	if r == nil {
		return
	}
	var some []ShardSpec
	for _, s := range c.w.config.Shards {
		if c.w.chance(0.6) {
			some = append(some, s)
		}
	}
	c.w.logf(r.name, "is configured for %v", some)
	r.deliver(Configured{Shards: some})
}

// quitOne ends the work of a term without having been told to: so it does when
// it sees that the validity has passed, just before that is extended.
func (c *chaos) quitOne() {
	r := c.one()
	if r == nil || len(r.terms) == 0 {
		return
	}
	shards := sortedKeys(r.terms)
	t := r.terms[shards[c.w.rng.IntN(len(shards))]]
	c.w.logf(r.name, "work of %s epoch %d ends by itself", t.Shard, t.Epoch)
	r.quit(t)
}

func (c *chaos) unreadyOne() {
	if r := c.one(); r != nil {
		ready := c.w.chance(0.5)
		c.w.logf(r.name, "reports ready=%t", ready)
		r.deliver(Reported{Ready: ready})
	}
}

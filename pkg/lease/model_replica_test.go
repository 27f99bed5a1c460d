// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// modelReplica is one process: the machine, and all that the driver is around
// it. While it is paused what arrives queues up, and is processed afterwards in
// whatever order is worst.
type modelReplica struct {
	w        *world
	name     string // for transcripts: the Pod's name, and which start of it
	replica  Replica
	config   Config
	clock    modelClock
	wall     time.Duration // how far off its wall clock is
	election *Election
	watch    *modelWatch

	gone bool // crashed, or left
	left bool // in an orderly way

	paused  bool
	inbox   []arrived
	backlog []Effect // what it had decided and not done yet when it was paused
	timer   int      // counts timers: only the latest fires

	underway map[string]uint64 // Lease -> request
	terms    map[string]Term   // that may be acted on, as long as the session is valid
	work     map[termKey]bool  // that goes on; true: it has been told to end
	closed   map[termKey]bool  // terms that were revoked for good or passed on

	// Until when its requests, or the replies to them, are lost.
	cutRequests, cutReplies time.Duration

	rates rates
}

type termKey struct {
	shard string
	uid   types.UID
	epoch int32
}

func keyOf(t Term) termKey { return termKey{t.Shard, t.UID, t.Epoch} }

// arrived is an event that a paused process has not looked at yet.
type arrived struct {
	ev Event
	// late: a reply that came in time for the request, but may be looked at
	// only after its time-out has fired, too.
	timeout Instant
}

// start starts a process in a Pod of that name, all of whose machines have
// perfect clocks.
func (w *world) start(pod string) *modelReplica {
	return w.startOn(pod, "uid-of-"+pod, modelClock{offset: Instant(time.Hour), rate: 1000}, w.config)
}

// restart starts a process in the Pod and container of one that is gone.
func (w *world) restart(old *modelReplica) *modelReplica {
	return w.startOn(old.replica.Pod, string(old.replica.UID), old.clock, w.config)
}

func (w *world) startOn(pod, uid string, clock modelClock, cfg Config) *modelReplica {
	boot := 1
	for _, r := range w.replicas {
		if r.replica.Pod == pod {
			boot++
		}
	}
	cfg.Replica = Replica{Pod: pod, UID: types.UID(uid), Container: "main", Boot: "b" + strconv.Itoa(boot)}
	election, err := NewElection(cfg)
	if err != nil {
		panic(fmt.Sprintf("model: %v", err))
	}
	name := pod
	if boot > 1 {
		name += "/" + strconv.Itoa(boot)
	}
	r := &modelReplica{
		w: w, name: name, replica: cfg.Replica, config: cfg, clock: clock, election: election,
		underway: map[string]uint64{}, terms: map[string]Term{}, work: map[termKey]bool{}, closed: map[termKey]bool{},
	}
	r.watch = &modelWatch{r: r}
	w.replicas = append(w.replicas, r)
	w.logf(r.name, "starts as %s", election.Identity())
	r.watch.connect(true)
	r.deliver(Reported{Ready: true})
	return r
}

// holds tells whether the process may act for the shard now.
func (r *modelReplica) holds(shard string) bool {
	_, ok := r.terms[shard]
	return ok && !r.gone && r.election.Valid(r.clock.at(r.w.now))
}

// deliver hands an event to the process.
func (r *modelReplica) deliver(ev Event) {
	switch {
	case r.gone:
	case r.paused:
		r.inbox = append(r.inbox, arrived{ev: ev})
	default:
		r.step(ev)
		r.arm()
	}
}

// step feeds the machine and carries out what it decides.
func (r *modelReplica) step(ev Event) {
	defer func() {
		if p := recover(); p != nil {
			r.w.violatef(r, "panic: %v\n%s", p, debug.Stack())
		}
	}()
	switch ev := ev.(type) {
	case Replied:
		r.replied(ev)
	case Drained:
		delete(r.work, keyOf(ev.Term))
		r.end(ev.Term)
	case Observed, Progressed, Listed, Reported, Configured, Leave, Tick:
	}
	if r.w.verbose {
		r.w.logf(r.name, "  %s", describe(ev))
	}
	now := r.clock.at(r.w.now)
	effects := append([]Effect(nil), r.election.Step(now, ev)...)
	r.rates.stepped(r, ev)
	if r.w.recorded != nil {
		r.w.recorded(r, now, ev, effects)
	}
	for _, effect := range effects {
		if e, ok := effect.(Extended); ok && e.Until <= now {
			r.w.violatef(r, "extended to the past")
		}
	}
	r.carryOut(effects)
}

func (r *modelReplica) replied(ev Replied) {
	for name, id := range r.underway {
		if id == ev.ID {
			delete(r.underway, name)
		}
	}
}

// carryOut does what the machine decided; the process may be paused between any
// two effects.
func (r *modelReplica) carryOut(effects []Effect) {
	for i, effect := range effects {
		if r.gone {
			return
		}
		if r.w.chance(r.w.faults.pausedInStep) {
			r.backlog = append(r.backlog, effects[i:]...)
			r.pause(r.w.faults.pause.draw(r.w.rng))
			return
		}
		r.do(effect)
		r.w.checkExclusion()
	}
}

func (r *modelReplica) do(effect Effect) {
	r.w.logEffect(r, effect)
	switch effect := effect.(type) {
	case Send:
		r.send(effect.Op)
	case Granted:
		r.w.checkGrant(r, effect.Term)
		r.terms[effect.Term.Shard] = effect.Term
		r.work[keyOf(effect.Term)] = false
	case Revoked:
		if !effect.Graceful {
			r.w.checkClosed(r, effect.Term)
			r.w.checks.revoked++
			r.end(effect.Term)
		}
		r.endWork(effect.Term)
	case Passed:
		r.w.checkClosed(r, effect.Term)
		r.w.checks.passed++
		if _, ok := r.terms[effect.Term.Shard]; ok {
			r.w.violatef(r, "%s is passed on while its term goes on", effect.Term.Shard)
		}
	case Left:
		r.w.checkLeft(r)
		r.left = true
		r.stop()
	case Extended, Began, Ended, Refused:
	}
}

// end makes a term one that is not acted on any more.
func (r *modelReplica) end(t Term) {
	if have, ok := r.terms[t.Shard]; ok && keyOf(have) == keyOf(t) {
		delete(r.terms, t.Shard)
	}
}

// endWork tells the work of a term to end, which takes it a while.
func (r *modelReplica) endWork(t Term) {
	if told, goesOn := r.work[keyOf(t)]; told || !goesOn {
		return
	}
	r.work[keyOf(t)] = true
	r.w.after(r.w.faults.workReturns.draw(r.w.rng), func() { r.deliver(Drained{Term: t, Wrote: r.w.wrote()}) })
}

// quit ends the work of a term now; nobody has told it to.
func (r *modelReplica) quit(t Term) {
	if told, goesOn := r.work[keyOf(t)]; goesOn && !told {
		r.work[keyOf(t)] = true
		r.deliver(Drained{Term: t, Wrote: r.w.wrote()})
	}
}

// arm sets the timer to the machine's deadline.
func (r *modelReplica) arm() {
	r.timer++
	deadline := r.election.Deadline()
	if deadline == 0 || r.gone || r.paused {
		return
	}
	timer := r.timer
	at := max(r.w.now, r.clock.when(deadline)+r.w.faults.timerSlack.draw(r.w.rng))
	r.w.agenda.add(at, func() {
		if timer == r.timer && !r.paused && !r.gone {
			r.deliver(Tick{})
		}
	})
}

// crash ends the process without a word; what it had sent is still under way.
func (r *modelReplica) crash() {
	r.w.logf(r.name, "crashes")
	r.stop()
}

func (r *modelReplica) stop() {
	r.gone = true
	r.terms = map[string]Term{}
	r.work = map[termKey]bool{}
}

// pause stops the process for d; its clock goes on.
func (r *modelReplica) pause(d time.Duration) {
	if r.paused || r.gone {
		return
	}
	r.w.logf(r.name, "is paused for %s", d)
	r.paused = true
	r.w.after(d, r.resume)
}

// resume goes on where the process stopped, then looks at what has arrived.
func (r *modelReplica) resume() {
	if !r.paused || r.gone {
		return
	}
	r.w.logf(r.name, "goes on")
	r.paused = false
	backlog := r.backlog
	r.backlog = nil
	r.carryOut(backlog)
	for !r.paused && !r.gone && len(r.inbox) > 0 {
		r.step(r.pick())
	}
	r.arm()
}

// pick takes one event out of the inbox. The watch's events and reports stay in
// their order; replies and ends of work come whenever they like.
func (r *modelReplica) pick() Event {
	choices := []int{}
	ordered := false
	for i, a := range r.inbox {
		switch a.ev.(type) {
		case Replied, Drained:
			choices = append(choices, i)
		default:
			if !ordered {
				choices = append(choices, i)
			}
			ordered = true
		}
	}
	i := choices[r.w.rng.IntN(len(choices))]
	a := r.inbox[i]
	r.inbox = append(r.inbox[:i:i], r.inbox[i+1:]...)
	reply, ok := a.ev.(Replied)
	if ok && a.timeout != 0 && r.clock.at(r.w.now) >= a.timeout && r.w.chance(0.5) {
		return Replied{ID: reply.ID, Outcome: Unknown}
	}
	return a.ev
}

// fate is what becomes of a request.
type fate struct {
	lost    bool          // it never gets there
	request time.Duration // until it gets there
	mute    bool          // the reply never comes back
	reply   time.Duration // until it does
	refusal Outcome       // answered instead of carrying it out; OK: none
}

// send sends a request. Whatever becomes of it, its time-out answers if nothing
// else does.
func (r *modelReplica) send(op Op) {
	w := r.w
	w.checkSend(r, op)
	r.underway[op.Name] = op.ID
	r.rates.sent(r, op)
	op = r.stamped(op)
	f, ok := fate{}, false
	if w.fate != nil {
		f, ok = w.fate(r, op)
	}
	if !ok {
		f = w.drawFate(r)
	}
	answered := false
	timeout := r.clock.at(w.now).Add(r.election.cfg.Timings.RequestTimeout())
	answer := func(reply Replied) {
		if answered || r.gone {
			return
		}
		answered = true
		w.logf(r.name, "<- %s %s: %s", op.Verb, op.Name, reply.Outcome)
		if r.paused {
			r.inbox = append(r.inbox, arrived{ev: reply, timeout: timeout})
			return
		}
		r.deliver(reply)
		if w.chance(w.faults.repeated) {
			r.deliver(reply)
		}
	}
	w.agenda.add(r.clock.when(timeout), func() { answer(Replied{ID: op.ID, Outcome: Unknown}) })
	if f.lost {
		return
	}
	sent := w.now
	w.after(f.request, func() {
		if w.lost(sent) {
			return
		}
		reply := Replied{ID: op.ID, Outcome: f.refusal}
		if f.refusal == OK {
			reply.Outcome, reply.Lease = w.server.do(w.now, op)
			w.checkWrite(r, op, reply.Outcome)
		}
		if !f.mute {
			w.after(f.reply, func() { answer(reply) })
		}
	})
}

// stamped puts the wall-clock times into what is written, as the driver does.
func (r *modelReplica) stamped(op Op) Op {
	if op.Stamp == StampNone {
		return op
	}
	wall := metav1.NewMicroTime(time.Unix(serverEpoch, 0).Add(r.w.now + r.wall).UTC().Truncate(time.Microsecond))
	l := op.Lease.DeepCopy()
	l.Spec.RenewTime = &wall
	if op.Stamp == StampAcquire {
		l.Spec.AcquireTime = &wall
	}
	op.Lease = l
	return op
}

// describe is an event as a line of the transcript.
func describe(ev Event) string {
	switch ev := ev.(type) {
	case Observed:
		if ev.Deleted {
			return fmt.Sprintf("sees %s deleted at %s", ev.Lease.Name, ev.Lease.ResourceVersion)
		}
		return "sees " + describeLease(ev.Lease)
	case Listed:
		return fmt.Sprintf("lists %d Leases at %s", len(ev.Leases), ev.ResourceVersion)
	case Drained:
		return fmt.Sprintf("work of %s epoch %d has ended", ev.Term.Shard, ev.Term.Epoch)
	}
	return fmt.Sprintf("%T%+v", ev, ev)
}

func describeLease(l *coordinationv1.Lease) string {
	holder := ""
	if l.Spec.HolderIdentity != nil {
		holder = *l.Spec.HolderIdentity
	}
	s := fmt.Sprintf("%s at %s: holder %q", l.Name, l.ResourceVersion, holder)
	if l.Spec.LeaseTransitions != nil {
		s += fmt.Sprintf(", epoch %d", *l.Spec.LeaseTransitions)
	}
	for _, a := range []string{AnnotationAttempt, AnnotationEnded, AnnotationLeaving} {
		if v := l.Annotations[a]; v != "" {
			s += fmt.Sprintf(", %s %s", a[len("shardctl.dev/"):], v)
		}
	}
	return s
}

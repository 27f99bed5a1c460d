// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Replica is one process: the machine, and all that the driver is around it.
// While it is paused what arrives queues up, and is processed afterwards in
// whatever order is worst.
type Replica struct {
	Name     string // for transcripts: the Pod's name, and which start of it
	Process  lease.Replica
	Config   lease.Config
	Clock    Clock
	Election *lease.Election
	Watch    *Watch

	Gone bool // killed, or left
	Left bool // in an orderly way

	// Identity is that of the session, as far as its effects were carried out.
	Identity string
	// Terms are those that may be acted on, as long as they are valid.
	Terms map[string]*Held
	// Work is what goes on; true: it has been told to end.
	Work map[termKey]bool

	Link

	// Rates are those of its requests and timers.
	Rates Rates

	w       *World
	wall    time.Duration // how far off its wall clock is
	session *validity
	// controllers are the work on the objects of each shard, tenures the terms
	// whose work has not ended, granted the number of the newest.
	controllers map[string]*controller
	tenures     map[termKey]*tenure
	granted     uint64
	own         map[string]*validity // of terms that are renewed by themselves
	promised    promises
	leaving     bool             // it was told to leave
	ready       bool             // it was last told that it is
	civil       time.Duration    // how far off the wall clock is that schedules go by
	entering    map[uint64]*duty // entries that are not answered
	declines    map[string]lease.Cause
	busy        map[string]bool
	saw         saw

	process  source // chance of what happens to the process
	batches  source // chance of how many events it takes at once
	requests source // chance of what happens to its requests

	paused  bool
	inbox   []arrived
	frozen  []func()       // what its work would have done since
	backlog []lease.Effect // what it had decided and not done yet when it was paused
	// alarm counts timers: only the latest fires, at due.
	alarm int
	due   time.Duration

	underway map[string]uint64 // Lease -> request
	closed   map[termKey]bool  // terms that were revoked for good or passed on
	// wrote is what the work of terms had written when it ended.
	wrote map[termKey]map[string]string
}

// arrived is an event that a paused process has not looked at yet.
type arrived struct {
	ev lease.Event
	// timeout is when the request of a reply times out: the reply that came in
	// time may be looked at only after that.
	timeout lease.Instant
}

// Start starts a process in a Pod of that name, on a machine with a perfect
// clock.
func (w *World) Start(pod string) *Replica { return w.StartOn(pod, Perfect, w.Config) }

// Restart starts a process in the Pod and container of one that is gone.
func (w *World) Restart(old *Replica) *Replica {
	return w.StartOn(old.Process.Pod, old.Clock, old.Config)
}

// StartOn starts a process in a Pod, which has been there before or not, on a
// machine with that clock.
func (w *World) StartOn(pod string, clock Clock, cfg lease.Config) *Replica {
	boot := 1
	for _, r := range w.Replicas {
		if r.Process.Pod == pod {
			boot++
		}
	}
	cfg.Replica = lease.Replica{Pod: pod, UID: types.UID("uid-of-" + pod), Container: "main", Boot: "b" + strconv.Itoa(boot)}
	election, err := lease.NewElection(cfg)
	if err != nil {
		panic(fmt.Sprintf("sim: %v", err))
	}
	r := &Replica{
		Name: pod, Process: cfg.Replica, Config: cfg, Clock: clock, Election: election, Identity: election.Identity(),
		Terms: map[string]*Held{}, Work: map[termKey]bool{},
		w: w, session: &validity{}, own: map[string]*validity{}, promised: promises{terms: map[string]lease.Instant{}}, process: w.newSource(), requests: w.newSource(),
		civil: w.clock(), entering: map[uint64]*duty{}, declines: map[string]lease.Cause{}, busy: map[string]bool{}, saw: saw{texts: map[string]seen{}}, controllers: map[string]*controller{}, tenures: map[termKey]*tenure{},
		underway: map[string]uint64{}, closed: map[termKey]bool{}, wrote: map[termKey]map[string]string{},
	}
	r.batches = w.source(batchSources + uint32(len(w.Replicas))) //nolint:gosec // few
	if boot > 1 {
		r.Name += "/" + strconv.Itoa(boot)
	}
	r.Watch = &Watch{r: r, chance: w.newSource()}
	w.Replicas = append(w.Replicas, r)
	w.logf(r.Name, "starts as %s", r.Identity)
	r.Watch.connect(true)
	r.control()
	r.Deliver(lease.Reported{Ready: true})
	return r
}

// Deliver hands an event to the process.
func (r *Replica) Deliver(ev lease.Event) {
	switch {
	case r.Gone:
	case r.paused:
		r.inbox = append(r.inbox, arrived{ev: ev})
	default:
		r.step(ev)
		r.arm()
	}
}

// step feeds the machine and carries out what it decides.
func (r *Replica) step(events ...lease.Event) {
	defer func() {
		if p := recover(); p != nil {
			r.w.violatef(r, "panic", "%v\n%s", p, debug.Stack())
		}
	}()
	for _, ev := range events {
		r.note(ev)
	}
	now := r.now()
	decided := r.Election.Step(now, events...)
	if r.w.Recorded != nil {
		r.w.Recorded(r, now, events, decided)
	}
	for _, effect := range decided {
		r.w.checkDecided(r, now, effect)
		r.w.checkGives(r, effect)
		r.w.checkLedger(r, effect)
		r.w.checkReluctance(r, effect)
	}
	if len(decided) > 0 {
		r.carryOut(append([]lease.Effect(nil), decided...))
	}
}

// note takes in what the process itself knows of an event.
func (r *Replica) note(ev lease.Event) {
	switch ev := ev.(type) {
	case lease.Replied:
		r.answered(ev.ID)
	case lease.Drained:
		delete(r.Work, keyOf(ev.Term))
		r.wrote[keyOf(ev.Term)] = ev.Wrote
		r.end(ev.Term)
	case lease.Leave:
		r.leaving = true
	case lease.Reported:
		r.reported(ev)
	case lease.Tick:
		r.Rates.ticked(r)
	default:
	}
	r.w.noteLedger(r, ev)
	r.w.logEvent(r, ev)
}

func (r *Replica) answered(id uint64) {
	for name, asked := range r.underway {
		if asked == id {
			delete(r.underway, name)
		}
	}
}

// carryOut does what the machine decided; the process may be paused between any
// two effects.
func (r *Replica) carryOut(effects []lease.Effect) {
	for i, effect := range effects {
		if r.Gone {
			return
		}
		if r.process.strikes(PausedInStep, r.w.Faults.pausedInStep) {
			r.backlog = append(r.backlog, effects[i:]...)
			r.Pause(r.w.Faults.pause.draw(r.process.rng))
			return
		}
		r.do(effect)
	}
}

func (r *Replica) do(effect lease.Effect) {
	r.w.logEffect(r, effect)
	switch effect := effect.(type) {
	case lease.Send:
		r.send(effect.Op)
	case lease.Extended:
		r.w.checkExtended(r, effect)
		r.extend(effect)
		r.w.checkExclusion()
	case lease.Began:
		r.begin(effect)
	case lease.Granted:
		r.w.checkGranted(r, effect.Term)
		r.hold(effect.Term)
		r.w.checkToken(r, effect.Term)
		r.w.checkCarried(r, effect.Term)
		r.beginWork(effect.Term)
		r.w.checkExclusion()
	case lease.Revoked:
		if !effect.Graceful {
			r.w.checkClosed(r, effect.Term)
			r.w.Checks.Revoked++
			r.end(effect.Term)
			r.endValidity(effect.Term.Shard)
		}
		r.endWork(effect.Term, effect.Graceful)
	case lease.Passed:
		r.w.checkClosed(r, effect.Term)
		r.w.checkPassed(r, effect)
		r.endValidity(effect.Term.Shard)
	case lease.Left:
		r.w.checkLeft(r)
		r.Left = true
		r.stop()
	case lease.Entered:
		r.entered(effect)
	case lease.Ended, lease.Refused:
	}
}

// arm sets the timer to the machine's deadline.
func (r *Replica) arm() {
	deadline := r.Election.Deadline()
	if deadline == 0 || r.Gone || r.paused {
		r.alarm++
		r.due = 0
		return
	}
	at := max(r.w.now, r.Clock.When(deadline))
	if at == r.due {
		return // it is set to that already
	}
	r.alarm++
	r.due = at
	alarm := r.alarm
	r.w.agenda.add(at+r.w.Faults.TimerSlack.draw(r.process.rng), func() {
		if alarm == r.alarm && !r.paused && !r.Gone {
			r.due = 0
			r.Deliver(lease.Tick{})
		}
	})
}

// Crash ends the process without a word; what it had sent is still under way.
func (r *Replica) Crash() {
	r.w.logf(r.Name, "crashes")
	r.stop()
}

func (r *Replica) stop() {
	r.Gone = true
	r.Terms = map[string]*Held{}
	r.Work = map[termKey]bool{}
	r.tenures = map[termKey]*tenure{}
}

// Pause stops the process for d; its clock goes on.
func (r *Replica) Pause(d time.Duration) {
	if r.paused || r.Gone {
		return
	}
	r.w.logf(r.Name, "is paused for %s", d)
	r.paused = true
	r.w.after(d, r.resume)
}

// resume goes on where the process stopped, then looks at what has arrived.
func (r *Replica) resume() {
	if !r.paused || r.Gone {
		return
	}
	r.w.logf(r.Name, "goes on")
	r.paused = false
	backlog := r.backlog
	r.backlog = nil
	r.carryOut(backlog)
	for !r.paused && !r.Gone && len(r.inbox)+len(r.frozen) > 0 {
		if len(r.inbox) == 0 || len(r.frozen) > 0 && r.process.chance(0.5) {
			r.thaw()
			continue
		}
		r.step(r.picks()...)
	}
	r.arm()
}

// batchSources tells these sources of chance from others.
const batchSources = 1 << 29

// shareOfBatches of the steps after a pause take several events at once, as the
// driver does with what waits.
const shareOfBatches = 0.3

// picks takes an event out of the inbox, or some.
func (r *Replica) picks() []lease.Event {
	events := []lease.Event{r.pick()}
	if r.batches.chance(shareOfBatches) {
		for range r.batches.rng.IntN(8) {
			if len(r.inbox) > 0 {
				events = append(events, r.pick())
			}
		}
	}
	return events
}

// pick takes one event out of the inbox. The watch's events and reports stay in
// their order; replies and ends of work come whenever they like.
func (r *Replica) pick() lease.Event {
	choices := []int{}
	ordered := false
	for i, a := range r.inbox {
		switch a.ev.(type) {
		case lease.Replied, lease.Drained:
			choices = append(choices, i)
		default:
			if !ordered {
				choices = append(choices, i)
			}
			ordered = true
		}
	}
	i := choices[r.process.rng.IntN(len(choices))]
	a := r.inbox[i]
	r.inbox = append(r.inbox[:i:i], r.inbox[i+1:]...)
	reply, ok := a.ev.(lease.Replied)
	if ok && a.timeout != 0 && r.now() >= a.timeout && r.process.chance(0.5) {
		return lease.Replied{ID: reply.ID, Outcome: lease.Unknown}
	}
	return a.ev
}

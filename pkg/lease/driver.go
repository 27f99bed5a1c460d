// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
)

// Handler is told what an [Election] decided. Its methods must return at once.
// All but Requested are called on the driver's goroutine, one at a time.
type Handler interface {
	// Granted: the replica holds the shard, for as long as the validity says.
	Granted(Term, *Validity)
	// Revoked: the work has to stop; [Driver.Drained] says that it has.
	Revoked(Revoked)
	// Noted: anything else that is worth a log line or a metric.
	Noted(Effect)
	// Requested: a request on a Lease has come to an end. It is called on the
	// goroutine that sent it, at the same time as anything else.
	Requested(verb Verb, o Outcome, took time.Duration)
}

// DriverOptions are what a [Driver] needs.
type DriverOptions struct {
	Election Config
	Client   *Client
	Handler  Handler
	// Clock defaults to [BootClock].
	Clock Clock
	// LeaveTimeout is how long, after Run's context is done, the driver tries
	// to hand everything over before it gives up and lets the session expire.
	// Default 25 s.
	LeaveTimeout time.Duration
	// Pods, if set, are those of the group's namespace: what the kubelets report
	// of them tells of replicas that have ended, whose shards need not wait for
	// their sessions to expire. See [Config.TerminationMessage]. Default: none
	// are read.
	Pods PodReader
	// Mirror, if set, shows what the watch shows.
	Mirror *Mirror
}

const defaultLeaveTimeout = 25 * time.Second

// ErrNotLeft is returned by [Driver.Run] if not everything was handed over
// within the LeaveTimeout: others take over once the session has expired.
var ErrNotLeft = errors.New("not everything was handed over in time: the session was left to expire")

// ErrNotEntered is returned by [Driver.Enter] if it is not known that the entry is in
// the record.
var ErrNotEntered = errors.New("the entry is not known to be in the ledger")

const (
	// maxRequests bounds the requests under way, heartbeats and renewals excepted.
	// More would not be answered sooner: they wait in the API server, and the
	// heartbeats of the whole group wait there behind them.
	maxRequests = 32
	// maxRenewals bounds the renewals under way of terms that are renewed one by
	// one. They must not wait for their turn, however slow the API server is.
	maxRenewals = 256
	// maxBatch bounds the events that are taken at once, and those that wait. When
	// hundreds of shards change hands the machine would look at all of them after
	// each event, and its own heartbeat would wait behind the others.
	maxBatch = 256
)

// Driver is the goroutine around an [Election]: it owns the machine, and feeds
// it with what the watch shows, what requests come to, and the time.
type Driver struct {
	client   *Client
	handler  Handler
	clock    Clock
	timings  Timings
	selector string
	leave    time.Duration
	pods     *podWatch // nil: no Pods are read
	mirror   *Mirror   // nil: nobody looks on
	watchdog *watchdog

	machine  *Election
	own      string                   // name of the own member Lease
	validity atomic.Pointer[Validity] // of the session as it is now
	terms    map[string]*Validity     // of those that are renewed by themselves
	events   chan Event
	newest   chan string // answers the watch's question how new a list must be
	ended    chan struct{}

	entries  entries // that somebody waits for
	waiting  []Event // scratch of batch
	queue    []Op    // requests that wait for one of maxRequests
	underway int
	renewing map[uint64]bool // renewals under way, by ID, which underway does not count
	left     bool
}

// NewDriver makes a driver. It does nothing before [Driver.Run].
func NewDriver(o DriverOptions) (*Driver, error) {
	machine, err := NewElection(o.Election)
	if err != nil {
		return nil, err
	}
	if o.Client == nil || o.Handler == nil {
		return nil, errors.New("driver: a client and a handler are needed")
	}
	if o.Clock == nil {
		o.Clock = BootClock()
	}
	if o.LeaveTimeout == 0 {
		o.LeaveTimeout = defaultLeaveTimeout
	}
	d := &Driver{
		client:   o.Client,
		handler:  o.Handler,
		clock:    o.Clock,
		timings:  o.Election.Timings,
		selector: LabelGroup + "=" + o.Election.Group,
		leave:    o.LeaveTimeout,
		mirror:   o.Mirror,
		watchdog: newWatchdog(o.Clock, o.Election.Timings),
		machine:  machine,
		own:      machine.own,
		terms:    map[string]*Validity{},
		renewing: map[uint64]bool{},
		events:   make(chan Event, maxBatch),
		newest:   make(chan string),
		ended:    make(chan struct{}),
	}
	d.validity.Store(NewValidity(d.clock))
	if o.Pods != nil {
		d.pods = newPodWatch(o.Pods, &o.Election, d.deliver)
	}
	return d, nil
}

// Run takes part in the group until ctx is done; then it hands over what it
// holds and ends its session. It returns nil if that succeeded, and
// [ErrNotLeft] if it took longer than the LeaveTimeout. Nothing it started
// outlives it.
func (d *Driver) Run(ctx context.Context) error {
	defer close(d.ended)
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, work := errgroup.WithContext(work)
	g.Go(func() error { return d.watchLoop(work) })
	if d.pods != nil {
		g.Go(func() error { return d.pods.podLoop(work) })
	}
	g.Go(func() error {
		defer stop()
		defer func() { d.validity.Load().Extend(0) }()
		return d.stepLoop(ctx, work, g)
	})
	return g.Wait()
}

// Valid tells whether the session may be acted on now. It is safe for
// concurrent use.
func (d *Driver) Valid() bool { return d.validity.Load().Valid() }

// Remaining is how long the session may be acted on from now, if nothing is renewed;
// 0 once it is over. It is safe for concurrent use.
func (d *Driver) Remaining() time.Duration { return max(0, d.validity.Load().Remaining()) }

// Stuck says that the loop of the election does not get on, or that a renewal does not,
// for longer than anything outside of this process accounts for; nil while all is well.
// It is safe for concurrent use.
func (d *Driver) Stuck() (loop, renewal error) { return d.watchdog.loop(), d.watchdog.renewal() }

// Report says what the replica can do; see [Reported].
func (d *Driver) Report(r Reported) { d.deliver(nil, r) }

// Configure replaces the shards that the replica can hold.
func (d *Driver) Configure(shards []ShardSpec) { d.deliver(nil, Configured{Shards: shards}) }

// Revise replaces the revision and the number of replicas there are to be.
func (d *Driver) Revise(r Revised) { d.deliver(nil, r) }

// Drained says that the work of a revoked term has ended.
func (d *Driver) Drained(ev Drained) { d.deliver(nil, ev) }

// Enter writes the ledger of a term's shard, of [MaxLedger] bytes at most, and returns
// when that is in the record, written there before anybody else could take the shard. It
// goes on trying until then, or until the term is over, or ctx is done, or another entry
// is to be made for the term: that is an error, [ErrNotEntered], and then the entry may
// be in the record or not. It is safe for concurrent use.
func (d *Driver) Enter(ctx context.Context, t Term, text string) error {
	if len(text) > MaxLedger {
		return fmt.Errorf("%w: %d bytes are too much: keep it within %d", ErrNotEntered, len(text), MaxLedger)
	}
	answer := make(chan bool, 1)
	id := d.entries.wait(answer)
	defer d.entries.forget(id)
	d.deliver(ctx.Done(), Enter{ID: id, Term: t, Text: text})
	select {
	case ok := <-answer:
		if !ok {
			return fmt.Errorf("%w: shard %s: the term is over, or another entry was made instead", ErrNotEntered, t.Shard)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: shard %s: %w", ErrNotEntered, t.Shard, context.Cause(ctx))
	case <-d.ended:
		return fmt.Errorf("%w: shard %s: the replica has left the group", ErrNotEntered, t.Shard)
	}
}

// deliver hands an event to the step loop, unless that has ended.
func (d *Driver) deliver(done <-chan struct{}, ev Event) {
	select {
	case d.events <- ev:
	case <-done:
	case <-d.ended:
	}
}

// stepLoop owns the machine.
func (d *Driver) stepLoop(ctx, work context.Context, g *errgroup.Group) error {
	var giveUp <-chan time.Time
	leave := ctx.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer d.watchdog.ended()
	for !d.left {
		newest := d.newest
		if len(d.events) > 0 {
			newest = nil // the answer is in what waits, perhaps
		}
		select {
		case ev := <-d.events:
			d.watchdog.working()
			d.step(d.batch(ev)...)
		case newest <- d.machine.Newest():
			continue
		case <-timer.C:
			d.watchdog.working()
			d.step(Tick{})
		case <-leave:
			d.watchdog.working()
			leave = nil
			giveUp = time.After(d.leave)
			d.step(Leave{})
		case <-giveUp:
			return ErrNotLeft
		case <-work.Done():
			return nil // the watch loop failed, and says why
		}
		d.dispatch(work, g)
		d.watchdog.waiting(d.machine.Deadline())
		if at := d.machine.Deadline(); at != 0 {
			timer.Reset(at.Sub(d.clock.Now()))
		} else {
			timer.Stop()
		}
	}
	return nil
}

// batch is an event with those that wait behind it.
func (d *Driver) batch(first Event) []Event {
	events := append(d.waiting[:0], first)
	for len(events) < maxBatch && len(d.events) > 0 {
		events = append(events, <-d.events) // nobody else takes any
	}
	for _, ev := range events {
		if reply, ok := ev.(Replied); ok {
			d.answered(reply.ID)
		}
	}
	if d.mirror != nil {
		d.mirror.show(events)
	}
	d.waiting = events
	return events
}

// admit tells whether a request may be sent now, and counts it.
func (d *Driver) admit(op Op) bool {
	switch {
	case op.Keeps:
		if len(d.renewing) >= maxRenewals {
			return false
		}
		d.renewing[op.ID] = true
		return true
	case op.Name != d.own && d.underway >= maxRequests:
		return false
	}
	d.underway++
	return true
}

// answered makes room for another request.
func (d *Driver) answered(id uint64) {
	if d.renewing[id] {
		delete(d.renewing, id)
		return
	}
	d.underway--
}

// step feeds the machine and carries out what it decides.
func (d *Driver) step(events ...Event) {
	for _, effect := range d.machine.Step(d.clock.Now(), events...) {
		switch effect := effect.(type) {
		case Send:
			d.queue = append(d.queue, effect.Op)
		case Extended:
			d.extend(effect)
			d.handler.Noted(effect)
		case Began:
			// Terms of the old session keep its validity, which is over.
			d.validity.Load().Extend(0)
			d.validity.Store(NewValidity(d.clock))
			d.handler.Noted(effect)
		case Granted:
			d.handler.Granted(effect.Term, d.termValidity(effect.Term))
		case Entered:
			d.entries.answer(effect)
		case Revoked:
			if !effect.Graceful {
				d.endTerm(effect.Term.Shard)
			}
			d.handler.Revoked(effect)
		case Passed:
			d.endTerm(effect.Term.Shard)
			d.handler.Noted(effect)
		case Left:
			d.left = true
			d.handler.Noted(effect)
		default:
			d.handler.Noted(effect)
		}
	}
}

// extend moves the validity of the session, or of one term.
func (d *Driver) extend(e Extended) {
	v := d.validity.Load()
	switch {
	case e.Shard == "":
		v.Extend(e.Until)
	case e.Until == 0:
		d.endTerm(e.Shard)
	case d.terms[e.Shard] == nil:
		d.terms[e.Shard] = v.within()
		fallthrough
	default:
		d.terms[e.Shard].Extend(e.Until)
	}
}

// termValidity is the session's, unless the term is renewed by itself: that has
// been extended before the term is granted.
func (d *Driver) termValidity(t Term) *Validity {
	if v := d.terms[t.Shard]; v != nil && t.Mode == LeaseMode {
		return v
	}
	return d.validity.Load()
}

// endTerm ends the validity of a term that is renewed by itself.
func (d *Driver) endTerm(shard string) {
	if v := d.terms[shard]; v != nil {
		v.Extend(0)
		delete(d.terms, shard)
	}
}

// dispatch starts requests that may be started: the own heartbeat at once, the
// others up to a limit.
func (d *Driver) dispatch(work context.Context, g *errgroup.Group) {
	waiting := d.queue[:0]
	for _, op := range d.queue {
		if !d.admit(op) {
			waiting = append(waiting, op)
			continue
		}
		g.Go(func() error {
			d.request(work, op)
			return nil
		})
	}
	d.queue = waiting
}

// request carries out one request and hands its outcome to the machine.
func (d *Driver) request(ctx context.Context, op Op) {
	bounded, cancel := context.WithTimeout(ctx, d.timings.RequestTimeout())
	defer cancel()
	bounded, conn := withConnection(bounded)
	began := d.clock.Now()
	if op.Keeps || op.Name == d.own {
		d.watchdog.sending(op.ID)
		defer d.watchdog.answered(op.ID)
	}
	l, err := d.client.do(bounded, op)
	if bounded.Err() != nil && ctx.Err() == nil {
		conn.close()
	}
	reply := Replied{ID: op.ID, Outcome: outcome(op, err), Lease: l}
	if err != nil {
		reply.Reason, reply.RetryAfter = err.Error(), retryAfter(err)
		klog.FromContext(ctx).V(3).Info("Lease request failed", "verb", op.Verb, "lease", op.Name, "for", op.Why, "outcome", reply.Outcome.String(), "err", err)
	}
	d.handler.Requested(op.Verb, reply.Outcome, d.clock.Now().Sub(began))
	d.deliver(ctx.Done(), reply)
}

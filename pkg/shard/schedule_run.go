// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/schedule"
)

// lookAgain is how often a schedule looks at the wall clock, which may have been set.
const lookAgain = time.Minute

// scheduler is a Schedule at work.
type scheduler struct {
	Schedule
	spec    schedule.Spec
	metrics *scheduleMetrics
	busy    func(bool)
}

// run carries the schedule out for one term, until ctx is done and all runs have returned.
func (s *scheduler) run(ctx context.Context) error {
	term, ok := TermFrom(ctx)
	if !ok {
		return fmt.Errorf("schedule %s: %w", s.Name, ErrNoTerm)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	shift := newShift(ctx, s, term)
	shift.lapse = func() {
		stop(ErrTermOver)
		shift.end(ErrTermOver)
	}
	defer shift.close()
	defer term.whenOver(shift.lapse)()
	shift.loop(ctx)
	return nil
}

// shift is the schedule in one term. Its machine belongs to the goroutine that loops.
type shift struct {
	*scheduler
	term    *Term
	machine *schedule.Machine
	log     klog.Logger
	// work is what the contexts of the runs derive from: it outlives that of the role.
	work context.Context
	end  context.CancelCauseFunc
	// lapse ends the runs and the loop. Should the term have been over for a moment only,
	// because it was renewed after all, the schedule is begun again in it.
	lapse func()

	tasks errgroup.Group // of the runs, and of the entry under way
	// answers has room for all of them, so that none waits for the loop.
	answers chan schedule.Event
	runs    map[string]*firing
	// abandon gives up the entry under way; nil if there is none.
	abandon context.CancelFunc
	entry   string
	grace   *time.Timer // ends the runs; nil before the shard is to be given away
}

// firing is a run under way.
type firing struct {
	cancel context.CancelCauseFunc
	began  time.Time
}

func newShift(ctx context.Context, s *scheduler, t *Term) *shift {
	record, unsaved := t.Ledger(), false
	if last := t.lastWord(); last != nil {
		record, unsaved = *last, true // of what this schedule has taken the place of
	}
	work, end := context.WithCancelCause(context.WithoutCancel(ctx))
	return &shift{
		scheduler: s, term: t, log: klog.FromContext(ctx).WithValues("schedule", s.Name), work: work, end: end,
		machine: schedule.New(s.spec, schedule.Term{
			Epoch: t.Epoch(), Token: t.Token(), Ledger: record, Unsaved: unsaved, Created: time.Unix(t.Token()>>31, 0),
		}),
		answers: make(chan schedule.Event, schedule.MaxRuns+1), runs: map[string]*firing{},
	}
}

// loop tells the machine what happens. Its last word is there when it returns.
func (s *shift) loop(ctx context.Context) {
	drained := ctx.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ev := schedule.Event(schedule.Tick{}); ; {
		if ctx.Err() != nil && drained != nil { // before anything else is started
			drained = nil
			s.drain(context.Cause(ctx))
		}
		s.step(ev)
		if drained == nil && len(s.runs) == 0 && s.abandon == nil {
			s.term.Leave(s.machine.Ledger())
			return
		}
		timer.Reset(s.pause())
		ev = s.next(timer, drained)
	}
}

// next is what the machine is told next: what is known already comes before the time, or
// a run that could not begin would look like one that goes on.
func (s *shift) next(timer *time.Timer, drained <-chan struct{}) schedule.Event {
	select {
	case ev := <-s.answers:
		return ev
	default:
	}
	select {
	case ev := <-s.answers:
		return ev
	case <-timer.C:
	case <-drained:
	}
	return schedule.Tick{}
}

// close leaves nothing behind, however the loop came to its end.
func (s *shift) close() {
	s.end(context.Canceled)
	if s.grace != nil {
		s.grace.Stop()
	}
	_ = s.tasks.Wait()
	s.busy(false)
	s.metrics.running(s.Name, 0)
}

// pause is until the machine is to be told the time again.
func (s *shift) pause() time.Duration {
	deadline := s.machine.Deadline()
	if deadline.IsZero() {
		return lookAgain
	}
	return min(max(time.Until(deadline), time.Millisecond), lookAgain)
}

// drain has nothing more started, and cancels the runs once the grace is over.
func (s *shift) drain(cause error) {
	s.step(schedule.Drain{})
	if s.abandon != nil {
		s.abandon()
	}
	s.grace = time.AfterFunc(s.Grace, func() { s.end(cause) })
}

// step tells the machine of an event, and carries out what it wants.
func (s *shift) step(ev schedule.Event) {
	switch ev := ev.(type) {
	case schedule.Entered:
		if ev.OK {
			s.term.Leave(s.entry) // should the machine not come to its last word
		}
		s.abandon()
		s.abandon = nil
	case schedule.Ended:
		s.metrics.took(s.Name, time.Since(s.runs[ev.Key].began))
		s.runs[ev.Key].cancel(nil)
		delete(s.runs, ev.Key)
		switch {
		case ev.Interrupted:
			s.log.Info("A run was cancelled", "key", ev.Key, "err", ev.Err)
		case ev.Err != "":
			s.log.Error(nil, "A run has failed", "key", ev.Key, "err", ev.Err)
		default:
			s.log.V(1).Info("A run has ended", "key", ev.Key)
		}
	}
	for _, e := range s.machine.Step(time.Now(), ev) {
		s.carryOut(e)
	}
	s.busy(len(s.runs) > 0)
	s.metrics.running(s.Name, len(s.runs))
}

func (s *shift) carryOut(e schedule.Effect) {
	switch e := e.(type) {
	case schedule.Enter:
		s.enter(e.Text)
	case schedule.Start:
		s.start(Firing(e.Firing))
	case schedule.Stop:
		s.runs[e.Key].cancel(fmt.Errorf("%w: %s", ErrReplaced, e.By))
	case schedule.Skipped:
		s.metrics.skipped(s.Name, e.Reason, e.Count)
		s.log.Info("Ticks were skipped", "last", e.Scheduled, "count", e.Count, "reason", e.Reason)
	case schedule.Finished:
		s.metrics.finished(s.Name, e.Outcome)
		if e.Outcome == schedule.Unknown {
			s.log.Info("It is not known what became of a tick: the term in which it was claimed has ended without a word", "key", e.Key)
		}
	case schedule.Unreadable:
		s.log.Error(e.Err, "The ledger of the schedule cannot be read: ticks up to now, and for a minute more, count as started")
	case schedule.Ahead:
		s.log.Error(nil, "Nothing starts for now: ticks count as started that are ahead of this replica's clock: this clock is slow, or that of an earlier holder was fast", "until", e.Until)
	}
}

// enter puts a text on record.
func (s *shift) enter(text string) {
	ctx, cancel := context.WithCancel(s.work)
	s.abandon, s.entry = cancel, text
	s.tasks.Go(func() error {
		err := s.term.Enter(ctx, text)
		if err != nil && ctx.Err() == nil {
			s.log.Error(err, "It is not known whether the ledger of the schedule was written: nothing new starts before it is")
		}
		s.answers <- schedule.Entered{OK: err == nil}
		return nil
	})
}

// start begins a run, unless the term is over: the last moment to notice.
func (s *shift) start(f Firing) {
	ctx, cancel := context.WithCancelCause(klog.NewContext(s.work, s.log.WithValues("key", f.Key)))
	s.runs[f.Key] = &firing{cancel: cancel, began: time.Now()}
	if !s.term.Valid() {
		s.lapse()
		s.answers <- schedule.Ended{Key: f.Key, Err: ErrTermOver.Error(), Interrupted: true}
		return
	}
	s.metrics.started(s.Name, time.Now())
	s.log.V(1).Info("A run begins", "key", f.Key, "repeated", f.Repeated)
	s.tasks.Go(func() error {
		ev := schedule.Ended{Key: f.Key}
		if err := s.call(ctx, f); err != nil {
			ev.Err, ev.Interrupted = err.Error(), ctx.Err() != nil
		}
		s.answers <- ev
		return nil
	})
}

func (s *scheduler) call(ctx context.Context, f Firing) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the run %s: %v\n%s", f.Key, p, debug.Stack())
		}
	}()
	return s.Run(ctx, f)
}

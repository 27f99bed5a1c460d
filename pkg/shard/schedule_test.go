// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shardctl/shardctl/internal/schedule"
	"github.com/shardctl/shardctl/pkg/lease"
)

// desk is what a schedule's terms share: its ledger. It is for the virtual time of
// synctest, which begins at midnight.
type desk struct {
	t     *testing.T
	epoch int32
	// answer, if set, says what becomes of an entry.
	answer func(ctx context.Context, o *office) error

	mu     sync.Mutex
	record string
}

// office is a term of the schedule.
type office struct {
	*Term
	desk   *desk
	take   context.CancelCauseFunc // the shard away
	ended  chan error
	expire func()
	extend func()
}

func newDesk(t *testing.T) *desk { return &desk{t: t} }

// work has a schedule work for a new term.
func (d *desk) work(s Schedule) *office {
	d.t.Helper()
	d.epoch++
	clock := lease.MonotonicClock()
	v := lease.NewValidity(clock)
	extend := func() { v.Extend(clock.Now().Add(24 * time.Hour)) }
	extend()
	d.mu.Lock()
	record := lease.Term{Shard: "nightly", Epoch: d.epoch, Token: time.Now().Unix()<<31 | int64(d.epoch), Ledger: d.record}
	d.mu.Unlock()
	o := &office{Term: newTerm(record, v), desk: d, expire: func() { v.Extend(0) }, extend: extend}
	o.enter = func(ctx context.Context, _ lease.Term, text string) error {
		if d.answer != nil {
			if err := d.answer(ctx, o); err != nil {
				return err
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.record = text
		return nil
	}
	o.begin(s)
	return o
}

// begin has a schedule work for the term.
func (o *office) begin(s Schedule) {
	o.desk.t.Helper()
	role, err := s.role(&Group{opts: GroupOptions{Name: "g", DrainGrace: time.Second, DrainTimeout: time.Hour, LeaveTimeout: time.Hour}})
	if err != nil {
		o.desk.t.Fatal(err)
	}
	ctx, take := context.WithCancelCause(context.WithValue(context.Background(), termKey, o.Term))
	o.take, o.ended = take, make(chan error, 1)
	go func() { o.ended <- role.Run(ctx) }()
}

// leave takes the shard away, and waits until it can go; it goes with the last word.
func (o *office) leave(cause error) {
	o.desk.t.Helper()
	o.take(cause)
	if err := <-o.ended; err != nil {
		o.desk.t.Error(err)
	}
	o.desk.mu.Lock()
	defer o.desk.mu.Unlock()
	o.desk.record = *o.lastWord()
}

func (d *desk) ledger() schedule.Record {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := schedule.Decode(d.record)
	if err != nil {
		d.t.Errorf("%q: %v", d.record, err)
	}
	return r
}

// each is a schedule with a tick every ten minutes.
func each(run func(ctx context.Context, f Firing) error) Schedule {
	return Schedule{Name: "nightly", Cron: "*/10 * * * *", Run: run}
}

// inTenMinutes lets time pass until the next tick is due and what comes of it is done.
func inTenMinutes() {
	time.Sleep(10 * time.Minute)
	synctest.Wait()
}

func TestATickIsOnRecordBeforeItIsStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var got []Firing
		o := d.work(each(func(ctx context.Context, f Firing) error {
			got = append(got, f)
			if r := d.ledger(); !r.Claimed.Tick.Equal(f.Scheduled) {
				t.Errorf("%s is started, but the claim on record is %+v", f.Key, r.Claimed)
			}
			if term, ok := TermFrom(ctx); !ok || term.Epoch() != f.Epoch || term.Token() != f.Token {
				t.Errorf("the term of the context is not that of %+v", f)
			}
			return errors.New("no paper")
		}))
		inTenMinutes()
		inTenMinutes()
		o.leave(ErrHandedOver)
		first := Firing{Key: "nightly/2000-01-01T00:10:00Z", Schedule: "nightly", Scheduled: time.Date(2000, time.January, 1, 0, 10, 0, 0, time.UTC), Epoch: 1, Token: o.Token()}
		second := first
		second.Key, second.Scheduled = "nightly/2000-01-01T00:20:00Z", first.Scheduled.Add(10*time.Minute)
		if !slices.Equal(got, []Firing{first, second}) {
			t.Errorf("started were %+v, want %+v and %+v", got, first, second)
		}
		if last := d.ledger().Last; last.Outcome != schedule.Failed || last.Err != "no paper" || !last.Tick.Equal(second.Scheduled) {
			t.Errorf("on record the last run is %+v", last)
		}
	})
}

func TestARunHasItsGrace(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration // what the run does after the shard is to be given away
		ends  time.Duration // when it has ended
		want  schedule.Outcome
	}{
		"and ends by itself":    {500 * time.Millisecond, 500 * time.Millisecond, schedule.Succeeded},
		"and is cancelled":      {time.Hour, time.Second, schedule.Interrupted},
		"which may take longer": {0, 3 * time.Second, schedule.Interrupted}, // to clean up, below
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				var cause error
				o := d.work(each(func(ctx context.Context, _ Firing) error {
					time.Sleep(time.Minute)
					var after <-chan time.Time
					if c.takes > 0 {
						after = time.After(c.takes)
					}
					select {
					case <-after:
						return nil
					case <-ctx.Done():
						cause = context.Cause(ctx)
						if c.takes == 0 {
							time.Sleep(2 * time.Second)
						}
						return ctx.Err()
					}
				}))
				inTenMinutes()
				time.Sleep(time.Minute)
				began := time.Now()
				o.leave(ErrHandedOver)
				if took := time.Since(began); took != c.ends {
					t.Errorf("the shard could go after %s, want %s", took, c.ends)
				}
				if interrupted := c.want == schedule.Interrupted; interrupted != errors.Is(cause, ErrHandedOver) {
					t.Errorf("the run was cancelled: %v", cause)
				}
				if got := d.ledger().Last.Outcome; got != c.want {
					t.Errorf("on record it has %s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestARunEndsWithItsTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var cause error
		o := d.work(each(func(ctx context.Context, _ Firing) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		}))
		inTenMinutes()
		began := time.Now()
		o.expire()
		o.end() // which the group does, so that nobody waits for a timer
		synctest.Wait()
		o.take(ErrTermOver)
		if err := <-o.ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 0 || !errors.Is(cause, ErrTermOver) {
			t.Errorf("the run was cancelled after %s: %v", took, cause)
		}
	})
}

// The entry is on record, but that comes to be known too late.
func TestNothingStartsAfterTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.answer = func(_ context.Context, o *office) error {
			o.expire()
			return nil
		}
		o := d.work(each(func(_ context.Context, f Firing) error {
			t.Errorf("%s was started", f.Key)
			return nil
		}))
		inTenMinutes()
		o.take(ErrTermOver)
		if err := <-o.ended; err != nil {
			t.Error(err)
		}
	})
}

// A term that seems to be over for a moment, and is renewed after all, does not leave the
// schedule idle for the rest of it.
func TestAScheduleBeginsAgainInATermThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.answer = func(_ context.Context, o *office) error {
			d.answer = nil
			o.expire()
			return nil
		}
		var got []string
		s := each(func(_ context.Context, f Firing) error {
			got = append(got, f.Key)
			return nil
		})
		o := d.work(s)
		inTenMinutes()
		o.extend()
		select {
		case err := <-o.ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Hour):
			t.Error("it stays idle")
			o.leave(ErrHandedOver)
		}
		o.begin(s) // which the role does
		inTenMinutes()
		o.leave(ErrHandedOver)
		if want := []string{"nightly/2000-01-01T00:20:00Z"}; !slices.Equal(got, want) {
			t.Errorf("started were %q, want %q", got, want)
		}
	})
}

func TestAClaimThatWasNotStartedIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		starts := 0
		s := each(func(context.Context, Firing) error {
			starts++
			return nil
		})
		d.answer = func(ctx context.Context, _ *office) error {
			<-ctx.Done()
			return ErrNotEntered
		}
		o := d.work(s)
		inTenMinutes()
		began := time.Now()
		o.leave(ErrHandedOver)
		if took := time.Since(began); took != 0 || starts != 0 {
			t.Errorf("the shard could go after %s, %d runs were started", took, starts)
		}
		d.answer = nil
		next := d.work(s)
		synctest.Wait()
		next.leave(ErrHandedOver)
		if starts != 1 {
			t.Errorf("the next holder has started %d runs, want the one that is due", starts)
		}
	})
}

func TestAPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		starts := 0
		o := d.work(each(func(context.Context, Firing) error {
			starts++
			panic("out of ink")
		}))
		inTenMinutes()
		inTenMinutes()
		o.leave(ErrHandedOver)
		if last := d.ledger().Last; starts != 2 || last.Outcome != schedule.Failed || !strings.Contains(last.Err, "out of ink") {
			t.Errorf("%d starts, the last has %s: %s", starts, last.Outcome, last.Err)
		}
	})
}

func TestTheNextTickTakesThePlaceOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var log []string
		s := each(func(ctx context.Context, f Firing) error {
			log = append(log, "begins "+f.Scheduled.Format("15:04"))
			<-ctx.Done()
			time.Sleep(time.Second)
			log = append(log, fmt.Sprintf("ends %s, replaced %t", f.Scheduled.Format("15:04"), errors.Is(context.Cause(ctx), ErrReplaced)))
			return ctx.Err()
		})
		s.Concurrency = ReplaceConcurrent
		o := d.work(s)
		inTenMinutes()
		time.Sleep(10*time.Minute + 2*time.Second)
		o.leave(ErrHandedOver)
		if want := []string{"begins 00:10", "ends 00:10, replaced true", "begins 00:20", "ends 00:20, replaced false"}; !slices.Equal(log, want) {
			t.Errorf("%q, want %q", log, want)
		}
	})
}

func TestAnInterruptedRunIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var got []string
		s := each(func(ctx context.Context, f Firing) error {
			got = append(got, fmt.Sprintf("%s in epoch %d, repeated %t", f.Key, f.Epoch, f.Repeated))
			if f.Repeated {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		s.Delivery, s.StartingDeadline = AtLeastOnce, time.Second
		o := d.work(s)
		inTenMinutes()
		o.leave(ErrHandedOver)
		next := d.work(s)
		time.Sleep(time.Minute)
		next.leave(ErrHandedOver)
		third := d.work(s)
		synctest.Wait()
		third.leave(ErrHandedOver)
		want := []string{"nightly/2000-01-01T00:10:00Z in epoch 1, repeated false", "nightly/2000-01-01T00:10:00Z in epoch 2, repeated true"}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// A schedule that takes the place of another in the midst of a term goes on where that
// has ended: the ledger as it was when the term began is out of date.
func TestAScheduleIsReplacedInItsTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var got []string
		s := each(func(_ context.Context, f Firing) error {
			got = append(got, f.Key)
			return nil
		})
		o := d.work(s)
		inTenMinutes()
		o.leave(errRetired)
		s.Cron = "*/5 * * * *"
		o.begin(s)
		synctest.Wait()
		if got := d.ledger().Last.Outcome; got != schedule.Succeeded {
			t.Errorf("the last run has %q on record, want what the first schedule knew of it", got)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		o.leave(ErrHandedOver)
		if want := []string{"nightly/2000-01-01T00:10:00Z", "nightly/2000-01-01T00:15:00Z"}; !slices.Equal(got, want) {
			t.Errorf("started were %q, want %q", got, want)
		}
	})
}

// An entry that fails while the term goes on is repeated, and nothing is started before.
func TestAnEntryIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		tries := 0
		d.answer = func(context.Context, *office) error {
			if tries++; tries < 3 {
				return ErrNotEntered
			}
			return nil
		}
		var started time.Time
		o := d.work(each(func(context.Context, Firing) error {
			started = time.Now()
			return nil
		}))
		time.Sleep(11 * time.Minute)
		o.leave(ErrHandedOver)
		if want := time.Date(2000, time.January, 1, 0, 10, 3, 0, time.UTC); !started.Equal(want) {
			t.Errorf("after %d tries it was started at %s, want %s", tries, started.UTC(), want)
		}
	})
}

// The wall clock may be set: nobody sleeps until tomorrow.
func TestAScheduleLooksAtTheClockAgain(t *testing.T) {
	s := each(func(context.Context, Firing) error { return nil })
	s.Cron = "@yearly"
	spec, err := s.spec()
	if err == nil {
		t.Fatal("a schedule without a policy is accepted")
	}
	spec.Concurrency, spec.Delivery = schedule.Forbid, schedule.AtMostOnce
	at := &shift{machine: schedule.New(spec, schedule.Term{Created: time.Now()})}
	at.machine.Step(time.Now(), schedule.Tick{})
	if got := at.pause(); got != lookAgain {
		t.Errorf("it looks again in %s, want %s", got, lookAgain)
	}
}

func TestScheduleMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prometheus.NewRegistry()
		g := &Group{opts: GroupOptions{Name: "g", DrainGrace: time.Second, Registerer: r}}
		d := newDesk(t)
		n := 0
		s := each(func(ctx context.Context, _ Firing) error {
			switch n++; n {
			case 1:
				time.Sleep(2 * time.Second)
				return nil
			case 2:
				time.Sleep(25 * time.Minute) // two ticks wait
				return errors.New("no paper")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if _, err := each(s.Run).role(g); err != nil { // another of the group
			t.Fatal(err)
		}
		role, err := s.role(g)
		if err != nil {
			t.Fatal(err)
		}
		o := d.work(each(func(context.Context, Firing) error { return nil }))
		o.leave(ErrHandedOver)
		ctx, take := context.WithCancel(context.WithValue(context.Background(), termKey, o.Term))
		go func() { o.ended <- role.Run(ctx) }()
		time.Sleep(46 * time.Minute) // ticks at 10, 20, (30), 40 minutes
		if got := gathered(t, r, "schedule_running"); got["nightly"] != 1 || !g.busy()["nightly"] {
			t.Errorf("running are %v, busy is %v", got, g.busy())
		}
		take()
		<-o.ended
		for name, want := range map[string]map[string]float64{
			"schedule_starts_total":                 {"nightly": 3},
			"schedule_skipped_total":                {"missed nightly": 0, "deadline nightly": 0, "concurrency nightly": 1, "suspended nightly": 0},
			"schedule_runs_total":                   {"succeeded nightly": 1, "failed nightly": 1, "interrupted nightly": 1},
			"schedule_run_duration_seconds":         {"nightly": 2 + 25*60 + 61},
			"schedule_last_start_timestamp_seconds": {"nightly": float64(time.Date(2000, time.January, 1, 0, 45, 0, 0, time.UTC).Unix())},
			"schedule_running":                      {"nightly": 0},
		} {
			if got := gathered(t, r, name); !maps.Equal(got, want) {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if g.busy()["nightly"] {
			t.Error("it is busy after its end")
		}
	})
}

// gathered is a metric of the group, by the values of its other labels.
func gathered(t *testing.T, r prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "shardctl_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "group" {
					labels = append(labels, l.GetValue())
				}
			}
			all[strings.Join(labels, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
		}
	}
	return all
}

func TestWhatAScheduleMayNotBe(t *testing.T) {
	run := func(context.Context, Firing) error { return nil }
	for name, c := range map[string]struct {
		s    Schedule
		want []string
	}{
		"nothing":        {Schedule{Name: "nightly"}, []string{"run: is required", `cron: "" is not allowed`}},
		"no cron":        {Schedule{Name: "nightly", Run: run, Cron: "at noon"}, []string{`cron: "at noon" is not allowed`, "five fields"}},
		"no zone":        {Schedule{Name: "nightly", Run: run, Cron: "@daily", TimeZone: "Mars/Utopia"}, []string{`timeZone: "Mars/Utopia" is not known`}},
		"no policies":    {Schedule{Name: "nightly", Run: run, Cron: "@daily", Concurrency: "perhaps", Delivery: "twice"}, []string{`concurrencyPolicy: "perhaps"`, `delivery: "twice"`}},
		"negative times": {Schedule{Name: "nightly", Run: run, Cron: "@daily", Grace: -1, StartingDeadline: -1}, []string{"grace: -1ns is not allowed", "startingDeadline: -1ns is not allowed"}},
		"too much grace": {Schedule{Name: "nightly", Run: run, Cron: "@daily", Grace: 20 * time.Second}, []string{"grace: 20s is not allowed: use less than the group's DrainTimeout and LeaveTimeout, 20s"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.s.role(&Group{opts: GroupOptions{DrainGrace: time.Second, DrainTimeout: 20 * time.Second, LeaveTimeout: 25 * time.Second}})
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want an error that says %q", err, want)
				}
			}
		})
	}
}

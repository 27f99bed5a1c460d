// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
	"github.com/shardctl/shardctl/pkg/lease"
)

// TestTimetableFindsWhatIsWrong has a term that works on a schedule do what none may.
func TestTimetableFindsWhatIsWrong(t *testing.T) {
	at := time.Unix(Epoch+60, 0).UTC()
	claims := `{"kind":"schedule","claimed":{"tick":"` + at.Format(time.RFC3339) + `","at":"` + at.Format(time.RFC3339) + `","epoch":1}}`
	unfinished := claims[:len(claims)-1] + `,"unfinished":["` + at.Format(time.RFC3339) + `"]}`
	for _, test := range []struct {
		name     string
		delivery schedule.Delivery
		do       func(tt *timetable, d *duty, f schedule.Firing)
	}{
		{"nothing", schedule.AtMostOnce, nil},
		{"a start without a claim", schedule.AtMostOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			clear(tt.ticks)
			tt.started(d, f)
		}},
		{"a start of a claim of another term", schedule.AtMostOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			tt.tick(at).claimed.epoch++
			tt.started(d, f)
		}},
		{"a second start", schedule.AtMostOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			tt.started(d, f)
			tt.started(d, f)
		}},
		{"a second start that is not said to be one", schedule.AtLeastOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			tt.started(d, f)
			tt.started(d, f)
		}},
		{"a start of what is on record as finished", schedule.AtLeastOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			tt.tick(at).noted = true
			f.Repeated = true
			tt.started(d, f)
		}},
		{"another key", schedule.AtMostOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			f.Key = "s1/now"
			tt.started(d, f)
		}},
		{"a start of a tick from before", schedule.AtMostOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			tt.since = at
			tt.started(d, f)
		}},
		{"two runs at once", schedule.AtMostOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			d.runs["s1/before"], d.runs[f.Key] = &run{}, &run{Firing: f}
			tt.started(d, f)
		}},
		{"the end on record of what has not ended", schedule.AtLeastOnce, func(tt *timetable, d *duty, _ schedule.Firing) {
			tt.wrote(d.t.r, lease.Shard{Ledger: unfinished}, lease.Shard{Ledger: claims, Epoch: 1})
		}},
		{"a claim withdrawn of what was started", schedule.AtMostOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			tt.started(d, f)
			tt.wrote(d.t.r, lease.Shard{Ledger: claims}, lease.Shard{Ledger: `{"kind":"schedule","since":"2023-11-14T22:13:20Z"}`, Epoch: 1})
		}},
		{"a tick that nobody knows of", schedule.AtMostOnce, func(tt *timetable, _ *duty, _ schedule.Firing) {
			tt.since = at.Add(-2 * tt.period)
			tt.tick(at).starts = 1
			tt.account(at)
		}},
		{"a claim lost in a hand-over", schedule.AtMostOnce, func(tt *timetable, d *duty, _ schedule.Firing) {
			tt.since = at.Add(-tt.period)
			tt.given[keyOf(d.t.held.Term)] = true
			tt.account(at)
		}},
		{"a start after the deadline", schedule.AtMostOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			tt.checkDecided(d, at.Add(time.Minute), schedule.Start{Firing: f})
		}},
		{"a start while the shard is to be given away", schedule.AtMostOnce, func(tt *timetable, d *duty, f schedule.Firing) {
			d.told = true
			tt.checkDecided(d, at, schedule.Start{Firing: f})
		}},
		{"a claim of what is not due", schedule.AtMostOnce, func(tt *timetable, d *duty, _ schedule.Firing) {
			clear(tt.ticks)
			tt.checkDecided(d, at.Add(-time.Second), schedule.Enter{Text: claims})
		}},
		{"a claim of what is not the latest", schedule.AtMostOnce, func(tt *timetable, d *duty, _ schedule.Firing) {
			clear(tt.ticks)
			tt.checkDecided(d, at.Add(tt.period), schedule.Enter{Text: claims})
		}},
		{"passed over within the deadline", schedule.AtMostOnce, func(tt *timetable, d *duty, _ schedule.Firing) {
			tt.checkDecided(d, at, schedule.Skipped{Scheduled: at, Count: 1, Reason: schedule.Deadline})
		}},
		{"missed before the next is due", schedule.AtMostOnce, func(tt *timetable, d *duty, _ schedule.Firing) {
			tt.checkDecided(d, at, schedule.Skipped{Scheduled: at, Count: 1, Reason: schedule.Missed})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := New(1, lease.Default, "s1")
			period := 10 * time.Second
			cron, err := schedule.ParseCron("@every 10s", time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			tt := newTimetable(w, schedule.Spec{Role: "s1", Cron: cron, Delivery: test.delivery, Concurrency: schedule.Forbid, StartingDeadline: 20 * time.Second}, period)
			w.schedules = &schedules{source: w.newSource(), c: &chaos{}, timetable: tt}
			term := lease.Term{Shard: "s1", Family: "s1", UID: "uid-1", Epoch: 1, Token: 7}
			d := &duty{t: &tenure{r: w.Start("a"), held: &Held{Term: term}}, s: w.schedules, runs: map[string]*run{}}
			tt.tick(at).claimed = keyOf(term)
			f := schedule.Firing{Key: "s1/" + at.Format(time.RFC3339), Schedule: "s1", Scheduled: at, Epoch: 1, Token: 7}
			want := "schedule"
			if test.do == nil {
				want = ""
				tt.started(d, f)
			} else {
				test.do(tt, d, f)
			}
			got := ""
			if w.Checks.Violation != nil {
				got = w.Checks.Violation.Kind
			}
			if got != want {
				t.Errorf("found %v, want %q", w.Checks.Violation, want)
			}
		})
	}
}

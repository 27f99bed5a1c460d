// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
)

// at is a tick of the test's role, which has one each second.
func at(second int) time.Time { return time.Date(2026, time.March, 2, 10, 0, second, 0, time.UTC) }

// says is what the Lease says, without a revision: holder and epoch go together.
func says(epoch int32, claimedAt int, claimedIn int32, skipped int64, more ...func(*Entry)) Entry {
	e := Entry{Created: at(0), Holder: string('a' + epoch), Epoch: epoch}
	if claimedIn > 0 {
		e.Record.Claimed = schedule.Claim{Tick: at(claimedAt), At: at(claimedAt), Epoch: claimedIn}
	}
	if skipped > 0 {
		e.Record.Skipped = schedule.Skips{Count: skipped, Tick: at(claimedAt - 1), Reason: schedule.Missed}
	}
	for _, change := range more {
		change(&e)
	}
	return e
}

func inOrder(e *Entry) { e.Left = at(50).Add(time.Duration(e.Epoch)) }

func nobody(e *Entry) { e.Holder = "" }

func ended(second int, how schedule.Outcome) func(*Entry) {
	return func(e *Entry) { e.Record.Last = schedule.Run{Tick: at(second), Outcome: how} }
}

func unfinished(seconds ...int) func(*Entry) {
	return func(e *Entry) {
		for _, s := range seconds {
			e.Record.Unfinished = append(e.Record.Unfinished, at(s))
		}
	}
}

func call(second int, epoch int32, flags ...string) Call {
	c := Call{Role: "r", Key: "r/" + at(second).Format(time.RFC3339), Scheduled: at(second), Epoch: epoch, Answered: true}
	for _, flag := range flags {
		switch flag {
		case "repeated":
			c.Repeated = true
		case "cut":
			c.Answered = false
		}
	}
	return c
}

var (
	once    = Role{Name: "r", Cron: shortest, Delivery: schedule.AtMostOnce, Concurrency: schedule.Forbid}
	sure    = Role{Name: "r", Cron: shortest, Delivery: schedule.AtLeastOnce, Concurrency: schedule.Forbid}
	replace = Role{Name: "r", Cron: shortest, Delivery: schedule.AtMostOnce, Concurrency: schedule.Replace}
	hurried = Role{Name: "r", Cron: shortest, Delivery: schedule.AtMostOnce, Concurrency: schedule.Forbid, Deadline: time.Second}
)

func TestJudge(t *testing.T) {
	// Two ticks are claimed in the first term, which is cut short; in the second one is passed over and one claimed.
	usual := []Entry{says(1, 0, 0, 0), says(1, 1, 1, 0), says(1, 2, 1, 0), says(2, 2, 1, 0), says(2, 4, 2, 1)}
	for _, test := range []struct {
		name    string
		role    Role
		history []Entry
		calls   []Call
		fates   string // of the claims, in their order
		wrong   string // part of what is wrong; empty if nothing is
	}{
		{"all is well", once, usual, []Call{call(1, 1), call(2, 1), call(4, 2)}, "finished finished finished", ""},
		{"the last of a term is lost", once, usual, []Call{call(1, 1), call(4, 2)}, "finished lost finished", ""},
		{"it is broken off", once, usual, []Call{call(1, 1), call(2, 1, "cut"), call(4, 2)}, "finished broken off finished", ""},
		{"another than the last is lost", once, usual, []Call{call(2, 1), call(4, 2)}, "lost finished finished", "the same term went on"},
		{"started twice", once, usual, []Call{call(1, 1), call(2, 1), call(2, 2), call(4, 2)}, "finished repeated finished", "started 2 times: in epochs [1 2]"},
		{"repeated, with atMostOnce", once, usual, []Call{call(1, 1), call(2, 2, "repeated"), call(4, 2)}, "finished recovered finished", "was repeated"},
		{"started in another term", once, usual, []Call{call(1, 1), call(2, 2), call(4, 2)}, "finished finished finished", "as if for the first time"},
		{"started without a claim", once, usual, []Call{call(1, 1), call(2, 1), call(3, 2), call(4, 2)}, "finished finished finished", "without a claim"},
		{"a wrong key", once, usual, []Call{call(1, 1), call(2, 1), {Role: "r", Key: "r/2", Scheduled: at(4), Epoch: 2, Answered: true}}, "finished finished finished", `the key "r/2"`},
		{"another role's calls", once, usual, []Call{call(1, 1), call(2, 1), call(4, 2), {Role: "s", Key: "s"}}, "finished finished finished", ""},
		{"lost, and given away in order", once, []Entry{says(1, 0, 0, 0), says(1, 1, 1, 0), says(2, 1, 1, 0, inOrder)}, nil, "lost", "given away in order"},
		{"lost, though the record says that it was run", once, []Entry{says(1, 0, 0, 0), says(1, 1, 1, 0), says(1, 1, 1, 0, ended(1, schedule.Succeeded))}, nil, "lost", "the hook was not called"},
		{"lost in a term that began in order", once, []Entry{says(1, 0, 0, 0, inOrder), says(1, 1, 1, 0, inOrder), says(2, 1, 1, 0)}, nil, "lost", ""},
		{"given up by the next", once, []Entry{says(1, 0, 0, 0), says(1, 1, 1, 0), says(2, 1, 1, 0), says(2, 1, 1, 0, ended(1, schedule.Unknown))}, nil, "lost", ""},
		{"replaced before it was called", replace, []Entry{says(1, 0, 0, 0), says(1, 1, 1, 0), says(1, 2, 1, 0, ended(1, schedule.Replaced))}, []Call{call(2, 1)}, "lost finished", ""},
		{
			"taken back, and claimed by the next", once,
			[]Entry{says(1, 0, 0, 0), says(1, 1, 1, 0), says(2, 0, 0, 0, inOrder), says(2, 1, 2, 0, inOrder)},
			[]Call{call(1, 2)},
			"finished", "",
		},
		{"taken back, and called nevertheless", once, []Entry{says(1, 0, 0, 0), says(1, 1, 1, 0), says(2, 0, 0, 0, inOrder)}, []Call{call(1, 1)}, "", "without a claim"},
		{"taken back without an end of the term", once, []Entry{says(1, 0, 0, 0), says(1, 1, 1, 0), says(1, 0, 0, 0)}, nil, "", "and went on"},
		{"claimed by who does not hold it", once, []Entry{says(1, 0, 0, 0), says(2, 1, 1, 0)}, []Call{call(1, 1)}, "", "while the shard was held"},
		{"claimed again by another", once, []Entry{says(1, 0, 0, 0), says(1, 1, 1, 0), says(2, 1, 1, 0), says(2, 1, 2, 0)}, []Call{call(1, 1)}, "finished", "was claimed again in epoch 2"},
		{"an epoch that goes down", once, []Entry{says(2, 0, 0, 0), says(1, 0, 0, 0)}, nil, "", "epoch 1 follows 2"},
		{"no tick", hurried, []Entry{says(1, 0, 0, 0), says(1, 1, 1, 0, func(e *Entry) { e.Record.Claimed.Tick = at(1).Add(time.Millisecond) })}, nil, "lost", "is no tick"},
		{"a tick of which nobody tells", once, []Entry{says(1, 0, 0, 0), says(1, 2, 1, 0)}, []Call{call(2, 1)}, "finished", "of 2 ticks 1 were claimed and 0 passed over"},
		{"passed over, and then no more", once, []Entry{says(1, 3, 0, 2), says(1, 3, 1, 0)}, []Call{call(3, 1)}, "finished", "0 ticks were passed over, and 2 before"},
		{
			"given up since it was too late", hurried,
			[]Entry{says(1, 0, 0, 0), says(1, 1, 1, 0), says(1, 1, 1, 1, func(e *Entry) { e.Record.Skipped.Tick = at(1) }), says(1, 2, 1, 1)},
			[]Call{call(2, 1)},
			"lost finished", "",
		},
		{"atLeastOnce: called once", sure, usual, []Call{call(1, 1), call(2, 1), call(4, 2)}, "finished finished finished", ""},
		{"atLeastOnce: called again", sure, usual, []Call{call(1, 1), call(2, 1, "cut"), call(2, 2, "repeated"), call(4, 2)}, "finished repeated finished", ""},
		{"atLeastOnce: not heard of before", sure, usual, []Call{call(1, 1), call(2, 2, "repeated"), call(4, 2)}, "finished recovered finished", ""},
		{"atLeastOnce: lost", sure, usual, []Call{call(1, 1), call(4, 2)}, "finished lost finished", "none of 0 calls came to its end"},
		{"atLeastOnce: broken off", sure, usual, []Call{call(1, 1), call(2, 1, "cut"), call(4, 2)}, "finished broken off finished", "none of 1 calls"},
		{
			"atLeastOnce: claimed with the last word", sure,
			[]Entry{says(1, 0, 0, 0), says(2, 1, 1, 0), says(2, 2, 2, 0)},
			[]Call{call(1, 2, "repeated"), call(2, 2)},
			"recovered finished", "",
		},
		{"atLeastOnce: twice in one term", sure, usual, []Call{call(1, 1), call(2, 2, "repeated"), call(2, 2, "repeated"), call(4, 2)}, "finished repeated finished", "started twice in epoch 2"},
		{"atLeastOnce: again, as if for the first time", sure, usual, []Call{call(1, 1), call(2, 1, "cut"), call(2, 2), call(4, 2)}, "finished repeated finished", "as if for the first time"},
		{
			"atLeastOnce: left to the next, of whom there is none", sure,
			[]Entry{says(1, 0, 0, 0), says(1, 1, 1, 0, unfinished(1)), says(1, 1, 1, 0, unfinished(1), inOrder, nobody)},
			nil, "open", "",
		},
		{
			"atLeastOnce: unfinished, of an earlier term", sure,
			[]Entry{says(1, 0, 0, 0), says(1, 1, 1, 0, unfinished(1)), says(2, 1, 1, 0, unfinished(1), inOrder), says(2, 1, 1, 0, unfinished(1), nobody)},
			[]Call{call(1, 1)},
			"finished", "is unfinished in the end",
		},
		{"atLeastOnce: unfinished", sure, []Entry{says(1, 0, 0, 0), says(1, 1, 1, 0, unfinished(1))}, []Call{call(1, 1)}, "finished", "is unfinished in the end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := Judge(test.role, test.history, test.calls)
			var fates []string
			for second := range 60 {
				if fate, ok := v.Fates[at(second)]; ok {
					fates = append(fates, string(fate))
				}
			}
			if test.name != "no tick" && strings.Join(fates, " ") != test.fates {
				t.Errorf("the fates are %q, want %q", strings.Join(fates, " "), test.fates)
			}
			switch {
			case test.wrong == "" && len(v.Wrong) > 0:
				t.Errorf("this is wrong: %v", v.Wrong)
			case test.wrong != "" && !mentions(v.Wrong, test.wrong):
				t.Errorf("this is wrong: %v; want %q", v.Wrong, test.wrong)
			}
		})
	}
}

func mentions(errs []error, part string) bool {
	for _, err := range errs {
		if strings.Contains(err.Error(), part) {
			return true
		}
	}
	return false
}

// A report that proves nothing is an error.
func TestReportDemandsEvidence(t *testing.T) {
	struck := Struck{Strike: Strike{Name: "kill", Delivery: schedule.AtMostOnce, Want: Lost}, Hits: []Hit{{Role: "r", Tick: at(1)}}}
	good := Report{Struck: []Struck{struck}, Verdicts: []Verdict{{Role: once, Ticks: leastTicks, Fates: map[time.Time]Fate{at(1): Lost}}}}
	if err := good.Err(); err != nil {
		t.Error(err)
	}
	few := Report{Struck: good.Struck, Verdicts: []Verdict{{Role: once, Ticks: leastTicks - 1, Fates: good.Verdicts[0].Fates}}}
	missed := Report{Struck: good.Struck, Verdicts: []Verdict{{Role: once, Ticks: leastTicks, Fates: map[time.Time]Fate{at(1): Finished}}}}
	for want, r := range map[string]Report{"there were 999 ticks": few, "nothing is proved": missed} {
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Err returned %v, want %q", err, want)
		}
	}
}

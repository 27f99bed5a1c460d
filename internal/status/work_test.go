// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"encoding/json"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Ledgers as internal/schedule and internal/child write them.
const (
	hasFailed = `{"kind":"schedule","claimed":{"tick":"2026-11-20T11:55:00Z","at":"2026-11-20T11:55:00.01Z","epoch":3},"last":{"tick":"2026-11-20T11:55:00Z","started":"2026-11-20T11:55:00.02Z","ended":"2026-11-20T11:56:00Z","epoch":3,"outcome":"failed","error":"status 500"},"skipped":{"count":2,"tick":"2026-11-20T11:50:00Z","reason":"deadline"}}`
	goesOn    = `{"kind":"schedule","claimed":{"tick":"2026-11-20T11:55:00Z","at":"2026-11-20T11:55:00.01Z","epoch":3}}`
	notYet    = `{"kind":"schedule","since":"2026-11-20T11:00:00Z"}`
	toRepeat  = `{"kind":"schedule","claimed":{"tick":"2026-11-20T11:55:00Z","at":"2026-11-20T11:55:00Z","epoch":2},"unfinished":["2026-11-20T11:55:00Z"]}`
	toLose    = `{"kind":"schedule","claimed":{"tick":"2026-11-20T11:55:00Z","at":"2026-11-20T11:55:00Z","epoch":2}}`
	succeeded = `{"kind":"schedule","claimed":{"tick":"2026-11-20T11:58:00Z","at":"2026-11-20T11:58:00Z","epoch":3},"last":{"tick":"2026-11-20T11:58:00Z","started":"2026-11-20T11:58:00Z","ended":"2026-11-20T11:58:01Z","epoch":3,"outcome":"succeeded"}}`
	exited    = `{"kind":"exec","exitCode":3,"at":"2026-11-20T11:58:00Z","pod":"ann-1","restarts":2,"tail":["no paper","gi\u001b[2Jving up"]}`
	killed    = `{"kind":"exec","exitCode":-1,"signal":"killed","stopped":true,"at":"2026-11-20T11:58:00Z","restarts":0}`
	absent    = `{"kind":"exec","exitCode":-1,"error":"no such file","at":"2026-11-20T11:58:00Z","restarts":0}`
)

// working is a shard of ann's in epoch 3, with a ledger.
func working(name, ledger string) coordinationv1.Lease {
	return annotated(shardLease(name, ann, ann, 3), lease.AnnotationLedger, ledger, lease.AnnotationResource, "")
}

func TestLastIsWhatTheLedgerSays(t *testing.T) {
	for _, tc := range []struct{ name, ledger, kind, want string }{
		{"a run that has failed", hasFailed, KindSchedule, "failed, 4m ago"},
		{"a run that has succeeded", succeeded, KindSchedule, "succeeded, 119s ago"},
		{"a run that goes on", goesOn, KindSchedule, "started, 5m ago"},
		{"a run of a holder that was lost", toLose, KindSchedule, "lost, 5m ago"},
		{"a run of a holder that was lost, which is repeated", toRepeat, KindSchedule, "repeated, 5m ago"},
		{"no run yet", notYet, KindSchedule, ""},
		{"a program that has ended", exited, KindExec, "exit code 3, 2m ago"},
		{"a program that was stopped", killed, KindExec, "stopped, 2m ago"},
		{"a program that is not there", absent, KindExec, "no such file, 2m ago"},
		{"no ledger", "", "", ""},
		{"somebody's own ledger", `{"kind":"mine"}`, "", ""},
		{"a text", "what I did", "", ""},
		{"a list", "[]", "", ""},
		{"a ledger that contradicts itself", strings.Replace(goesOn, "2026-11-20T11:55:00Z", "0001-01-01T00:00:00Z", 1), "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sh := Of("g", "ns", []coordinationv1.Lease{ready(ann, "a"), working("a", tc.ledger)}, now).Shards[0]
			if got := sh.last(now); got != tc.want || sh.Kind != tc.kind {
				t.Errorf("kind %q: %q, want %q: %q", sh.Kind, got, tc.kind, tc.want)
			}
		})
	}
}

// The run that goes on is that of the term; who comes after knows nothing of how it ended.
func TestARunGoesOnWithItsTermOnly(t *testing.T) {
	for name, tc := range map[string]struct {
		shard coordinationv1.Lease
		want  RunState
	}{
		"in its term":       {working("a", goesOn), Running},
		"in a later term":   {annotated(shardLease("a", ann, ann, 4), lease.AnnotationLedger, goesOn), Unknown},
		"in nobody's hands": {annotated(shardLease("a", "", "", 3), lease.AnnotationLedger, goesOn), Unknown},
	} {
		if got := Of("g", "ns", []coordinationv1.Lease{ready(ann, "a"), tc.shard}, now).Shards[0].Schedule.State; got != tc.want {
			t.Errorf("%s the state is %s, want %s", name, got, tc.want)
		}
	}
}

// The JSON form is what scripts read: a change here breaks them.
func TestJSONOfWorkIsStable(t *testing.T) {
	leases := []coordinationv1.Lease{
		ready(ann, "a,b", lease.AnnotationDeclines, `{"b":"unfit"}`), working("a", exited), working("b", hasFailed), working("c", toRepeat), working("d", ""),
	}
	s := Of("g", "ns", leases, now)
	got := map[string]any{"declines": s.Members[0].Declines}
	for _, sh := range s.Shards {
		got[sh.Name] = []any{sh.Kind, sh.Exec, sh.Schedule}
	}
	text, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	var compact strings.Builder
	for line := range strings.Lines(string(text)) {
		compact.WriteString(strings.TrimSpace(line))
	}
	want := `{"a": ["exec",{"exitCode": 3,"stopped": false,"at": "2026-11-20T11:58:00Z","pod": "ann-1","restarts": 2,"tail": ["no paper","gi[2Jving up"]},null],` +
		`"b": ["schedule",null,{"claimed": "2026-11-20T11:55:00Z","claimedAt": "2026-11-20T11:55:00Z","state": "ended",` +
		`"last": {"tick": "2026-11-20T11:55:00Z","started": "2026-11-20T11:55:00Z","ended": "2026-11-20T11:56:00Z","outcome": "failed","error": "status 500"},` +
		`"skipped": 2,"skippedLast": "2026-11-20T11:50:00Z","skippedFor": "deadline"}],` +
		`"c": ["schedule",null,{"claimed": "2026-11-20T11:55:00Z","claimedAt": "2026-11-20T11:55:00Z","state": "unknown","unfinished": ["2026-11-20T11:55:00Z"],"skipped": 0}],` +
		`"d": ["",null,null],"declines": {"b": "unfit"}}`
	if compact.String() != want {
		t.Errorf("the JSON is\n%s, want\n%s", compact.String(), want)
	}
	// What has no ledger has none of these fields, as before there were any.
	if text, err := json.Marshal(s.Shards[3]); err != nil || strings.Contains(string(text), `"kind"`) || strings.Contains(string(text), `"exec"`) {
		t.Errorf("the JSON of a shard without a ledger is %s, %v", text, err)
	}
}

func TestWorkInTheTable(t *testing.T) {
	leases := []coordinationv1.Lease{
		ready(ann, "importer,nightly", lease.AnnotationDeclines, `{"leader":"yielded","importer":"unfit"}`),
		working("importer", exited), working("nightly", hasFailed), shardLease("widgets", ann, ann, 1),
	}
	for wide, want := range map[bool]string{
		false: `Group g in namespace ns: 1 members, 3 shards

MEMBER   STATE   READY   SHARDS   LOAD   REVISION   RENEWED
ann-1    live    true    3        0.00   0          1s ago
Not taken by ann-1: importer (unfit), leader (yielded)

SHARD      STATE   HOLDER   PIN   EPOCH   AGE   LAST                  PROBLEM
importer   held    ann-1    -     3       90s   exit code 3, 2m ago   -
nightly    held    ann-1    -     3       90s   failed, 4m ago        -
widgets    held    ann-1    -     1       90s   -                     -
`,
		true: `Group g in namespace ns: 1 members, 3 shards

MEMBER   STATE   READY   SHARDS   LOAD   REVISION   RENEWED   IDENTITY
ann-1    live    true    3        0.00   0          1s ago    ann-1_11111111-1111-1111-1111-111111111111_main.abc.1
Not taken by ann-1: importer (unfit), leader (yielded)

SHARD      STATE   HOLDER   PIN   EPOCH   AGE   LAST                  PROBLEM   LOAD   RESOURCE     IDENTITY
importer   held    ann-1    -     3       90s   exit code 3, 2m ago   -         0.00   (exec)       ann-1_11111111-1111-1111-1111-111111111111_main.abc.1
nightly    held    ann-1    -     3       90s   failed, 4m ago        -         0.00   (schedule)   ann-1_11111111-1111-1111-1111-111111111111_main.abc.1
widgets    held    ann-1    -     1       90s   -                     -         0.00   widgets      ann-1_11111111-1111-1111-1111-111111111111_main.abc.1

Last lines of importer, which ended 2m ago in ann-1 (exit code 3):
    no paper
    gi[2Jving up

Last run of nightly that ended, due 2026-11-20T11:55:00Z: failed: status 500
Skipped by nightly: 2 runs, the last one due 2026-11-20T11:50:00Z: deadline
`,
	} {
		var out strings.Builder
		if err := Of("g", "ns", leases, now).Print(&out, wide, now); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("wide: %t\n%swant\n%s", wide, out.String(), want)
		}
	}
}

func TestWorkInFull(t *testing.T) {
	for _, tc := range []struct{ name, ledger, want string }{
		{"a run that goes on", goesOn, "Newest run of a, due 2026-11-20T11:55:00Z: started"},
		{"a run that was lost", toLose, "Newest run of a, due 2026-11-20T11:55:00Z: lost"},
		{"a run that is repeated", toRepeat, "Newest run of a, due 2026-11-20T11:55:00Z: repeated | Runs of a that are started again unless they end: 2026-11-20T11:55:00Z"},
		{"a run that has succeeded", succeeded, "Last run of a that ended, due 2026-11-20T11:58:00Z: succeeded"},
		{"no run yet", notYet, ""},
		{"a program that printed nothing", killed, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sh := Of("g", "ns", []coordinationv1.Lease{ready(ann, "a"), working("a", tc.ledger)}, now).Shards[0]
			if got := strings.Join(sh.workDetails(now), " | "); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestChangesOfWork(t *testing.T) {
	look := func(ledger, declines string) Status {
		return Of("g", "ns", []coordinationv1.Lease{ready(ann, "a", lease.AnnotationDeclines, declines), working("a", ledger)}, now)
	}
	for _, tc := range []struct {
		name        string
		before, now Status
		want        string
	}{
		{"a run begins", look(notYet, ""), look(goesOn, ""), "shard a: run due 2026-11-20T11:55:00Z started"},
		{"it fails", look(goesOn, ""), look(hasFailed, ""), "shard a: run due 2026-11-20T11:55:00Z failed: status 500"},
		{"the next one succeeds", look(hasFailed, ""), look(succeeded, ""), "shard a: run due 2026-11-20T11:58:00Z succeeded"},
		{"a program ends", look("", ""), look(exited, ""), "shard a: exit code 3"},
		{"and again", look(exited, ""), look(strings.Replace(exited, "11:58", "11:59", 1), ""), "shard a: exit code 3"},
		{"nothing happens", look(exited, `{"a":"unfit"}`), look(exited, `{"a":"unfit"}`), ""},
		{"a role is not taken", look("", ""), look("", `{"a":"unfit"}`), "member ann-1: does not take a (unfit)"},
		{"but it is again", look("", `{"a":"unfit"}`), look("", ""), "member ann-1: takes everything again"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := strings.Join(Changes(tc.before, tc.now), " | "); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	if got, want := Describe(look("", `{"a":"unfit"}`))[0], "member ann-1: live, ready, revision 0, 1 shard, does not take a (unfit)"; got != want {
		t.Errorf("at first it is %q, want %q", got, want)
	}
}

// Some are nobody's because nobody takes them.
func TestAShardThatNobodyTakes(t *testing.T) {
	type leases = []coordinationv1.Lease
	free := shardLease("a", "", "", 1)
	declining := func(identity, cause string, more ...string) coordinationv1.Lease {
		return ready(identity, "a", append(more, lease.AnnotationDeclines, `{"a":"`+cause+`"}`)...)
	}
	for _, tc := range []struct {
		name   string
		leases leases
		want   string
	}{
		{"all are unfit", leases{declining(ann, "unfit"), declining(bob, "unfit"), free}, "no replica is fit for it"},
		{
			"all are unfit, and say why",
			leases{declining(ann, "unfit", lease.AnnotationProblems, `{"a":"not fit: no route to host"}`), declining(bob, "unfit"), free},
			"no replica is fit for it: ann-1: not fit: no route to host",
		},
		{"one has yielded it", leases{declining(ann, "yielded"), declining(bob, "unfit"), free}, "no replica takes it now: ann-1 (yielded), bob-2 (unfit)"},
		{"one takes it", leases{declining(ann, "unfit"), ready(bob, "a"), free}, ""},
		{"it is held nevertheless", leases{declining(ann, "unfit"), shardLease("a", ann, ann, 1)}, ""},
		{
			"who would take it has ended",
			leases{declining(ann, "unfit"), annotated(ready(bob, "a"), lease.AnnotationEnded, bob), free},
			"no replica is fit for it",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Of("g", "ns", tc.leases, now).Shards[0].Problem; got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

// A pin to who does not take the shard moves nothing.
func TestWhoDeclinesTakesNothing(t *testing.T) {
	s := Of("g", "ns", []coordinationv1.Lease{
		ready(ann, "a"), ready(bob, "a,b", lease.AnnotationDeclines, `{"a":"unfit"}`), annotated(shardLease("a", ann, ann, 1), lease.AnnotationPinned, "bob-2"),
	}, now)
	if m := s.Members[1]; m.Takes("a") || !m.Takes("b") {
		t.Errorf("bob takes a: %t, b: %t; want only b", m.Takes("a"), m.Takes("b"))
	}
	if s.Shards[0].State != Held {
		t.Errorf("the shard is %s, want it held", s.Shards[0].State)
	}
}

func TestPrintableLosesWhatATerminalObeys(t *testing.T) {
	for text, want := range map[string]string{"a\tb": "a b", "a\x1b[31mb\r\n": "a[31mb", "grün ✓": "grün ✓", "\u202eabc": "abc"} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
}

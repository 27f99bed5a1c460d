// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// full is a record with as much in it as there can be.
func full(t *testing.T) Record {
	t.Helper()
	tick := at(t, "2026-03-02T10:00:00Z")
	r := Record{
		Since:   tick.Add(-time.Hour),
		Claimed: Claim{Tick: tick, At: tick.Add(123 * time.Millisecond), Epoch: 1<<31 - 1},
		Last:    Run{Tick: tick, Started: tick.Add(time.Millisecond), Ended: tick.Add(999 * time.Millisecond), Epoch: 7, Outcome: Interrupted, Err: cut(strings.Repeat("\x01", 1000))},
		Skipped: Skips{Count: 1<<63 - 1, Tick: tick, Reason: Concurrent},
	}
	for i := range MaxRuns {
		r.Unfinished = append(r.Unfinished, tick.Add(time.Duration(i-MaxRuns)*time.Minute))
	}
	return r
}

func TestLedgerSaysWhatWasWritten(t *testing.T) {
	want := full(t)
	text := want.encode()
	got, err := Decode(text)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if len(text) > maxText/2 {
		t.Errorf("the longest ledger has %d bytes, want at most half of %d", len(text), maxText)
	}
}

func TestWhatIsNoLedger(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "JSON",
		"reset":                         "invalid character",
		"{}":                            `of kind ""`,
		`{"kind":"exec","code":1}`:      `of kind "exec"`,
		`{"kind":"schedule"}`:           "required",
		`{"kind":"schedule","since":3}`: "ledger",
		`{"kind":"schedule","since":"1815-06-18T11:00:00Z"}`:                                                                                                            "between",
		`{"kind":"schedule","since":"2026-01-01T00:00:00Z","unfinished":["2026-01-01T00:00:00Z"]}`:                                                                      "unfinished[0]",
		`{"kind":"schedule","claimed":{"tick":"2026-01-01T00:00:00Z","at":"2026-01-01T00:00:00Z"},"unfinished":["2026-01-01T00:00:00Z","2025-01-01T00:00:00Z"]}`:        "unfinished[1]",
		`{"kind":"schedule","since":"2026-01-01T00:00:00Z","skipped":{"count":-1,"tick":"2026-01-01T00:00:00Z"}}`:                                                       "negative",
		`{"kind":"schedule","since":"2026-01-01T00:00:00Z"} x`:                                                                                                          "invalid character",
		`{"kind":"schedule","since":"2026-01-01T00:00:00Z","junk":"` + strings.Repeat("x", maxText) + `"}`:                                                              "more than 4096",
		`{"kind":"schedule","claimed":{"tick":"2026-01-01T00:00:00Z"},"unfinished":[` + strings.Repeat(`"2026-01-01T00:00:00Z",`, MaxRuns) + `"2026-01-01T00:00:00Z"]}`: "more than 10",
	} {
		if _, err := Decode(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want an error that says %q", text, err, want)
		}
	}
}

// A field that a later version has added does no harm.
func TestLedgerOfALaterVersion(t *testing.T) {
	r, err := Decode(`{"kind":"schedule","since":"2026-01-01T01:00:00+01:00","mood":"good"}`)
	if want := at(t, "2026-01-01T00:00:00Z"); err != nil || !r.Since.Equal(want) {
		t.Errorf("since %s, %v; want %s", r.Since, err, want)
	}
}

// FuzzDecode has machines begin with any text.
func FuzzDecode(f *testing.F) {
	tick := time.Date(2026, time.March, 2, 10, 0, 0, 0, time.UTC)
	for _, text := range []string{
		"", "reset", `{"kind":"schedule"}`, Record{Since: tick}.encode(), Record{Claimed: Claim{Tick: tick, At: tick, Epoch: 3}}.encode(),
		Record{Claimed: Claim{Tick: tick, At: tick}, Unfinished: []time.Time{tick.Add(-time.Hour), tick}, Skipped: Skips{Count: 3, Tick: tick.Add(time.Hour)}}.encode(),
	} {
		f.Add(text, int64(600))
	}
	cron, err := ParseCron("@every 1m", time.UTC)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, offset int64) {
		r, err := Decode(text)
		if err == nil {
			again, err := Decode(r.encode())
			if err != nil || !reflect.DeepEqual(again, r) {
				t.Fatalf("%s is read as %+v, and that as %+v, %v", text, r, again, err)
			}
		}
		for _, d := range []Delivery{AtMostOnce, AtLeastOnce} {
			m := New(Spec{Role: "r", Cron: cron, Concurrency: Allow, Delivery: d}, Term{Ledger: text, Created: tick})
			now := tick.Add(time.Duration(offset % 1e9))
			for _, e := range append(m.Step(now, Tick{}), m.Step(now, Entered{OK: true})...) {
				start, ok := e.(Start)
				switch {
				case !ok:
				case text != "" && err != nil:
					t.Fatalf("%s cannot be read, and %s is started", text, start.Key)
				case text != "" && !start.Repeated && !start.Scheduled.After(r.floor()):
					t.Fatalf("%s: %s is started again", text, start.Key)
				}
			}
			if _, err := Decode(m.Ledger()); err != nil {
				t.Fatalf("%s: the last word cannot be read: %v", text, err)
			}
		}
	})
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what happens into the transcripts")

// TestTranscripts does what the files in testdata say and compares what comes of it with
// the lines below, which are indented.
//
//	schedule NAME cron="..." [zone=Z] [concurrency=C] [delivery=D] [deadline=10m] [suspend]
//	term EPOCH [created=TIME] [ledger=TEXT]   a machine; it begins with what is on record
//	term EPOCH unsaved                        with the last word of the one before
//	TIME tick | drain | entered | lost | unknown | ended TICK [error=TEXT] [interrupted]
//	hand over                                 its last word is on record, and it is gone
//
// entered has the entry under way be on record, and says so; lost and unknown say that this
// is not known: it is not, or it is. Times are those of the day that was named last.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := newTranscript(t).play(string(raw))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(raw) {
				t.Errorf("%s says otherwise; run the test with -update and look at the difference:\n%s", name, got)
			}
		})
	}
}

type transcript struct {
	t      *testing.T
	spec   Spec
	day    string
	record string // the ledger
	sent   string // the entry under way
	m      *Machine
	out    strings.Builder
}

func newTranscript(t *testing.T) *transcript {
	t.Helper()
	return &transcript{t: t}
}

func (s *transcript) play(text string) string {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "\t") {
			continue
		}
		fmt.Fprintln(&s.out, line)
		if words := fields(line); len(words) > 0 && words[0] != "#" {
			s.command(words)
		}
	}
	return s.out.String()
}

func (s *transcript) sayf(format string, args ...any) { fmt.Fprintf(&s.out, "\t"+format+"\n", args...) }

func (s *transcript) command(words []string) {
	s.t.Helper()
	options := map[string]string{}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		options[name] = value
	}
	switch words[0] {
	case "schedule":
		s.schedule(words[1], options)
	case "day":
		s.day = words[1]
	case "term":
		epoch, err := strconv.ParseInt(words[1], 10, 32)
		if err != nil {
			s.t.Fatal(err)
		}
		if text, ok := options["ledger"]; ok {
			s.record = text
		}
		term := Term{Epoch: int32(epoch), Token: 1000 + epoch, Ledger: s.record}
		if _, term.Unsaved = options["unsaved"]; term.Unsaved {
			term.Ledger = s.m.Ledger()
		}
		if created := options["created"]; created != "" {
			term.Created = s.time(created)
		}
		s.m, s.sent = New(s.spec, term), ""
	case "hand":
		s.record = s.m.Ledger()
		s.sayf("last word: %s", s.inShort(s.record))
	default:
		s.step(s.time(words[0]), words[1:], options)
	}
}

func (s *transcript) schedule(name string, options map[string]string) {
	s.t.Helper()
	zone, err := Zone(options["zone"])
	if err != nil {
		s.t.Fatal(err)
	}
	cron, err := ParseCron(options["cron"], zone)
	if err != nil {
		s.t.Fatal(err)
	}
	_, suspend := options["suspend"]
	s.spec = Spec{Role: name, Cron: cron, Concurrency: Forbid, Delivery: AtMostOnce, Suspend: suspend}
	if c := options["concurrency"]; c != "" {
		s.spec.Concurrency = Concurrency(c)
	}
	if d := options["delivery"]; d != "" {
		s.spec.Delivery = Delivery(d)
	}
	if d := options["deadline"]; d != "" {
		if s.spec.StartingDeadline, err = time.ParseDuration(d); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.spec.Validate(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *transcript) step(now time.Time, words []string, options map[string]string) {
	s.t.Helper()
	var ev Event
	switch words[0] {
	case "tick":
		ev = Tick{}
	case "drain":
		ev = Drain{}
	case "entered", "unknown", "lost":
		if s.sent == "" {
			s.t.Fatalf("at %s there is no entry under way", now)
		}
		if words[0] != "lost" {
			s.record = s.sent
		}
		s.sent = ""
		ev = Entered{OK: words[0] == "entered"}
	case "ended":
		_, interrupted := options["interrupted"]
		ev = Ended{Key: s.spec.key(s.time(words[1])), Err: options["error"], Interrupted: interrupted}
	default:
		s.t.Fatalf("unknown command %q", words[0])
	}
	for _, e := range s.m.Step(now, ev) {
		s.effect(e)
	}
	next := "-"
	if d := s.m.Deadline(); !d.IsZero() {
		next = s.short(d)
	}
	s.sayf("next %s", next)
}

func (s *transcript) effect(e Effect) {
	s.t.Helper()
	switch e := e.(type) {
	case Enter:
		s.sent = e.Text
		s.sayf("enter: %s", s.inShort(e.Text))
	case Start:
		repeated := ""
		if e.Repeated {
			repeated = ", repeated"
		}
		s.sayf("start %s (epoch %d, token %d%s)", e.Key, e.Epoch, e.Token, repeated)
	case Stop:
		s.sayf("stop %s for %s", e.Key, e.By)
	case Skipped:
		s.sayf("skipped %d up to %s: %s", e.Count, s.short(e.Scheduled), e.Reason)
	case Finished:
		s.sayf("finished %s: %s", e.Key, e.Outcome)
	case Unreadable:
		s.sayf("unreadable %s", e.Err)
	case Ahead:
		s.sayf("ahead: nothing before %s", s.short(e.Until))
	}
}

// inShort is a ledger in words.
func (s *transcript) inShort(text string) string {
	s.t.Helper()
	r, err := Decode(text)
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	var parts []string
	if !r.Since.IsZero() {
		parts = append(parts, "since "+s.short(r.Since))
	}
	if !r.Claimed.Tick.IsZero() {
		parts = append(parts, fmt.Sprintf("claimed %s in epoch %d", s.short(r.Claimed.Tick), r.Claimed.Epoch))
	}
	for _, tick := range r.Unfinished {
		parts = append(parts, "unfinished "+s.short(tick))
	}
	if !r.Last.Tick.IsZero() {
		parts = append(parts, fmt.Sprintf("%s %s", s.short(r.Last.Tick), r.Last.Outcome))
	}
	if r.Skipped.Count > 0 {
		parts = append(parts, fmt.Sprintf("skipped %d up to %s, %s", r.Skipped.Count, s.short(r.Skipped.Tick), r.Skipped.Reason))
	}
	return strings.Join(parts, "; ")
}

// short is an instant without the day that was named.
func (s *transcript) short(at time.Time) string {
	return strings.TrimPrefix(at.Format("2006-01-02 15:04:05"), s.day+" ")
}

func (s *transcript) time(text string) time.Time {
	s.t.Helper()
	if !strings.Contains(text, "T") {
		text = s.day + "T" + text
	}
	at, err := time.Parse("2006-01-02T15:04:05", text)
	if err != nil {
		s.t.Fatal(err)
	}
	return at
}

// fields splits a line into words; quotes keep several together.
func fields(line string) (words []string) {
	quoted := false
	for _, word := range strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	}) {
		words = append(words, strings.ReplaceAll(word, `"`, ""))
	}
	return words
}

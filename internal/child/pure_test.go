// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

const second = lease.Instant(time.Second)

func TestSentence(t *testing.T) {
	// Asked to end 60 s and killed 70 s after the clock's beginning, unless something happens; a grace of 5 s.
	tests := []struct {
		name            string
		happens         func(s *sentence)
		now             lease.Instant
		terminate, kill bool
		next            lease.Instant
	}{
		{"time is left", func(*sentence) {}, 59 * second, false, false, 60 * second},
		{"due to be asked", func(*sentence) {}, 60 * second, true, false, 60 * second},
		{"extended in time", func(s *sentence) { s.extend(80*second, 90*second) }, 75 * second, false, false, 80 * second},
		{"asked, in its grace", func(s *sentence) { s.ask(60 * second) }, 64 * second, false, false, 65 * second},
		{"asked, grace over", func(s *sentence) { s.ask(60 * second) }, 65 * second, false, true, 65 * second},
		{"asked twice", func(s *sentence) { s.ask(60 * second); s.ask(63 * second) }, 65 * second, false, true, 65 * second},
		{"asked too late for its grace", func(s *sentence) { s.ask(68 * second) }, 70 * second, false, true, 70 * second},
		{"asked, then extended", func(s *sentence) { s.ask(60 * second); s.extend(80*second, 90*second) }, 65 * second, false, true, 65 * second},
		{"validity ended early", func(s *sentence) { s.extend(0, 0) }, 1 * second, true, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sentence{grace: 5 * time.Second}
			s.extend(60*second, 70*second)
			tt.happens(&s)
			terminate, kill := s.due(tt.now)
			if terminate != tt.terminate || kill != tt.kill {
				t.Errorf("due: terminate %t, kill %t; want %t, %t", terminate, kill, tt.terminate, tt.kill)
			}
			if got := s.next(); got != tt.next {
				t.Errorf("next at %d, want %d", got, tt.next)
			}
		})
	}
}

type frozenClock lease.Instant

func (c frozenClock) Now() lease.Instant { return lease.Instant(c) }

func TestLimitsOfThePresets(t *testing.T) {
	for name, timings := range lease.Presets() {
		t.Run(name, func(t *testing.T) {
			term := &fakeTerm{clock: frozenClock(1000 * second)}
			l := &limits{term: term, grace: time.Hour}
			term.renew(timings.RenewDeadline)
			now := term.clock.Now()
			terminateAt, killAt := l.read(term.clock)
			if oneLost := now.Add(2 * timings.RenewInterval); terminateAt < oneLost {
				t.Errorf("asked to end %s after a renewal: one renewal lost, after %s, must not do that", terminateAt.Sub(now), oneLost.Sub(now))
			}
			if left := timings.RenewDeadline - killAt.Sub(now); left <= 0 || left > maxMargin {
				t.Errorf("killed %s before the end of the validity, want more than none and at most %s", left, maxMargin)
			}
			if got, want := killAt.Sub(terminateAt), timings.RenewDeadline/3-l.margin(); got != want {
				t.Errorf("%s between SIGTERM and SIGKILL, want %s", got, want)
			}
		})
	}
}

func TestShortGraceLeavesMoreTimeToWork(t *testing.T) {
	term := &fakeTerm{clock: frozenClock(1000 * second)}
	term.renew(9 * time.Second)
	l := &limits{term: term, grace: 200 * time.Millisecond}
	terminateAt, killAt := l.read(term.clock)
	if got := killAt.Sub(terminateAt); got != 200*time.Millisecond {
		t.Errorf("%s between SIGTERM and SIGKILL, want 200ms", got)
	}
}

func TestPauses(t *testing.T) {
	p := pauses{Backoff: Backoff{Initial: time.Second, Max: 5 * time.Second}}
	for i, run := range []struct {
		ran     time.Duration
		stopped bool
		want    time.Duration
	}{
		{0, false, time.Second},
		{0, false, 2 * time.Second},
		{5 * time.Second, false, 4 * time.Second},
		{0, false, 5 * time.Second},
		{0, false, 5 * time.Second},
		{6 * time.Second, false, time.Second},
		{0, false, 2 * time.Second},
		{0, true, time.Second},
	} {
		if got := p.after(run.ran, run.stopped); got != run.want {
			t.Errorf("pause %d is %s, want %s", i, got, run.want)
		}
	}
}

func TestNewTellsWhatIsWrong(t *testing.T) {
	tests := []struct {
		name    string
		options Options
		want    string
	}{
		{"no command", Options{}, "command: is required"},
		{"NUL", Options{Command: []string{"/a", "b\x00"}}, "command[1]: must not contain a NUL"},
		{"bad variable", Options{Command: []string{"/a"}, Env: []string{"A=b", "nonsense"}}, `env[1]: "nonsense" is not allowed`},
		{"our variable", Options{Command: []string{"/a"}, Env: []string{"SHARDCTL_EPOCH=1"}}, "env[0]: SHARDCTL_EPOCH tells the program"},
		{"grace", Options{Command: []string{"/a"}, TerminationGrace: 2 * time.Hour}, "terminationGrace: 2h0m0s is not allowed"},
		{"pause", Options{Command: []string{"/a"}, Restart: Backoff{Initial: -1}}, "restart.initial: -1ns is not allowed"},
		{"longest pause", Options{Command: []string{"/a"}, Restart: Backoff{Initial: time.Hour}}, "restart.max: 5m0s is not allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.options); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestRunOutsideOfATermFails(t *testing.T) {
	c, err := New(Options{Command: []string{"/a"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); err == nil {
		t.Error("a program would run while nothing is held")
	}
}

func TestRecordGoesThroughTheLedger(t *testing.T) {
	for _, r := range []Record{
		{ExitCode: 3, At: time.Unix(1e9, 0).UTC(), Pod: "importer-0", Restarts: 2, Tail: []string{"a", "b"}},
		{ExitCode: -1, Signal: "killed", Stopped: true},
		{ExitCode: -1, Error: "cannot be started"},
	} {
		text, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		r.Kind = Kind
		if !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, want %+v", got, r)
		}
	}
}

func TestRecordIsSmallWhateverWasPrinted(t *testing.T) {
	var printed tail
	for range 100 {
		printed.add(strings.Repeat("<&>\x1b\xff", 1000))
	}
	printed.add("the last line")
	r := Record{Error: strings.Repeat("e", 10_000), Tail: printed.lines()}
	text, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > maxRecordBytes {
		t.Errorf("%d bytes, want %d at most", len(text), maxRecordBytes)
	}
	got, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if got.Tail[len(got.Tail)-1] != "the last line" || strings.Contains(text, "u001b") || strings.Contains(text, "ufffd") {
		t.Errorf("tail is %q", got.Tail)
	}
}

func TestDecodeDoesNotTrustTheText(t *testing.T) {
	for _, text := range []string{"", "{", "null", `{"kind": "schedule"}`, `{"kind": "exec", "exitCode": "x"}`} {
		if r, err := Decode(text); err == nil {
			t.Errorf("%s is taken for %+v", text, r)
		}
	}
	r, err := Decode(`{"kind": "exec", "error": "a\u001b[31mb", "tail": ["` + strings.Repeat("x", 1000) + `\u0007"]}`)
	if err != nil {
		t.Fatal(err)
	}
	if r.Error != "a[31mb" || len(r.Tail[0]) > maxTailLineBytes {
		t.Errorf("got %+v: control characters reach the terminal, or a line is too long", r)
	}
}

func TestRecordString(t *testing.T) {
	for want, r := range map[string]Record{
		"exit code 3":                           {ExitCode: 3},
		"signal: killed":                        {ExitCode: -1, Signal: "killed"},
		"no such program":                       {ExitCode: -1, Error: "no such program"},
		"exit code 0, when it was told to stop": {Stopped: true},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestEachLine(t *testing.T) {
	long := strings.Repeat("x", maxLineBytes)
	tests := []struct {
		text string
		want []string
	}{
		{"", nil},
		{"a\n\nb\r\n", []string{"a", "", "b"}},
		{"no end", []string{"no end"}},
		{long + "y\nz\n", []string{long + cutMark, "z"}},
		{long + long + long, []string{long + cutMark}},
	}
	for i, tt := range tests {
		var got []string
		eachLine(strings.NewReader(tt.text), func(line string) { got = append(got, line) })
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%d: got %.40q, want %.40q", i, got, tt.want)
		}
	}
}

func TestTailKeepsTheLastLines(t *testing.T) {
	var printed tail
	for i := range 100 {
		printed.add(fmt.Sprint("line ", i))
	}
	lines := printed.lines()
	if len(lines) != maxTailLines || lines[0] != "line 80" || lines[maxTailLines-1] != "line 99" {
		t.Errorf("got %q", lines)
	}
}

func TestLastVariableCounts(t *testing.T) {
	got := unique([]string{"A=1", "B=1", "A=2", "C=1", "B="})
	if want := []string{"A=2", "C=1", "B="}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

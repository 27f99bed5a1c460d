// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/shardctl/shardctl/internal/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLastLine(t *testing.T) {
	var out strings.Builder
	if err := run(context.Background(), []string{"-histories=20", "-from=100"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := regexp.MustCompile(`^sim: 20 histories, 0 violations, \d+\.\d history-hours simulated, \d+\.\d s$`)
	if last := lines[len(lines)-1]; !want.MatchString(last) {
		t.Errorf("the last line is %q, want %s", last, want)
	}
	for _, part := range []string{"faults", "terms gained", "outside the clock bound: "} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q is not in:\n%s", part, &out)
		}
	}
}

func TestReplayShowsTheHistory(t *testing.T) {
	for _, test := range []struct {
		args []string
		sees bool
	}{
		{[]string{"-seed=3"}, false},
		{[]string{"-seed=3", "-verbose"}, true},
	} {
		var out strings.Builder
		if err := run(context.Background(), test.args, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "starts as") || !strings.Contains(out.String(), "all faults heal") {
			t.Errorf("%v: no transcript in:\n%s", test.args, &out)
		}
		if strings.Contains(out.String(), "  sees ") != test.sees {
			t.Errorf("%v: shows what replicas see: %t, want %t", test.args, !test.sees, test.sees)
		}
	}
}

func TestViolationIsShownWithTheSeed(t *testing.T) {
	x := &explorer{violated: &found{7, &sim.Violation{Kind: "exclusion", Who: "b", What: "s1 is held by a, too"}}}
	var out strings.Builder
	if err := x.conclude(context.Background(), &out); !errors.Is(err, errViolated) {
		t.Errorf("got %v", err)
	}
	if want := "violation: seed 7: at 0.000 s: b: exclusion: s1 is held by a, too\nmake sim SEED=7\n"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("got:\n%s\nwant it to begin with:\n%s", &out, want)
	}
}

// The seed that is shown is the lowest, whichever worker was first.
func TestLowestSeedIsShown(t *testing.T) {
	x := &explorer{}
	for _, seed := range []uint64{9, 7, 8} {
		x.fail(found{seed, &sim.Violation{}})
	}
	if x.violated.seed != 7 {
		t.Errorf("seed %d is shown, want 7", x.violated.seed)
	}
}

// Who interrupts a long run still wants to know what it came to.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out strings.Builder
	if err := run(ctx, nil, &out, io.Discard); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
	want := regexp.MustCompile(`(?m)^sim: 0 histories, .* s, interrupted before 20000$`)
	if !want.MatchString(out.String()) {
		t.Errorf("%s is not in:\n%s", want, &out)
	}
}

func TestWhatNeverHappenedIsAFailure(t *testing.T) {
	for _, test := range []struct {
		histories int
		want      error
	}{
		{telling - 1, nil},
		{telling, errNeverHappened},
	} {
		x := &explorer{total: sim.Summary{Histories: test.histories}}
		var out strings.Builder
		if err := x.conclude(context.Background(), &out); !errors.Is(err, test.want) {
			t.Errorf("%d histories: got %v, want %v", test.histories, err, test.want)
		}
		if got := strings.Contains(out.String(), "never happened: process killed\n"); got != (test.want != nil) {
			t.Errorf("%d histories: says what never happened: %t in:\n%s", test.histories, got, &out)
		}
	}
}

func TestSeedZeroIsReplayed(t *testing.T) {
	var out strings.Builder
	if err := run(context.Background(), []string{"-seed=0"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "starts as") || !strings.Contains(out.String(), "sim: 1 histories") {
		t.Errorf("no transcript of one history in:\n%s", &out)
	}
}

func TestOnlyWhatIsKeptStrikes(t *testing.T) {
	var out strings.Builder
	if err := run(context.Background(), []string{"-seed=3", "-only=none"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^ *0 +process killed$`).MatchString(out.String()) || !strings.Contains(out.String(), "starts as") {
		t.Errorf("faults, or no story, in:\n%s", &out)
	}
}

func TestFlags(t *testing.T) {
	for _, test := range []struct{ args, says string }{
		{"-nonsense", "not defined: -nonsense"},
		{"4711", `unexpected argument "4711": leave it out`},
		{"-histories=0", "-histories 0 would prove nothing: use 1 or more"},
		{"-workers=0", "-workers 0 is not allowed: use 1 or more"},
		{"-workers=-1", "-workers -1 is not allowed: use 1 or more"},
		{"-verbose", "-verbose is about one history: say which with -seed"},
		{"-only=1.4", "-only is about one history: say which with -seed"},
		{"-seed=3 -only=x", `"x" names no fault: write none, objects, or faults`},
		{"-seed=3 -only=", `"" names no fault: write none, objects, or faults`},
		{"-seed=3 -histories=5", "-histories is about many histories, -seed about one: leave one of them out"},
		{"-seed=3 -from=5", "-from is about many histories, -seed about one: leave one of them out"},
	} {
		var messages strings.Builder
		if err := run(context.Background(), strings.Fields(test.args), io.Discard, &messages); !errors.Is(err, errFlags) {
			t.Errorf("%s: got %v", test.args, err)
		}
		if !strings.Contains(messages.String(), test.says) {
			t.Errorf("%s: %q is not in:\n%s", test.args, test.says, &messages)
		}
	}
	if err := run(context.Background(), []string{"-h"}, io.Discard, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
}

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

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := run(ctx, nil, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFlags(t *testing.T) {
	if err := run(context.Background(), []string{"-nonsense"}, io.Discard, io.Discard); !errors.Is(err, errFlags) {
		t.Errorf("got %v", err)
	}
	if err := run(context.Background(), []string{"-h"}, io.Discard, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
}

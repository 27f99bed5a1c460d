// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestVerdictListsMissedTargets(t *testing.T) {
	var out strings.Builder
	f := figures{out: &out}
	f.add("speed_ms", 1.23456)
	f.atMost(2, "kept", 2)
	if err := f.verdict(); err != nil {
		t.Errorf("nothing was missed: %v", err)
	}
	f.atMost(2, "missed", 2.5)
	f.atMost(2, "unmeasured", math.NaN())
	err := f.verdict()
	if err == nil || err.Error() != "2 of 3 targets are missed:\n  missed: 2.5, want at most 2\n  unmeasured: NaN, want at most 2" {
		t.Errorf("the verdict is %v", err)
	}
	if want := "speed_ms: 1.235\nkept: 2\nmissed: 2.5\nunmeasured: NaN\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestChoose(t *testing.T) {
	for only, want := range map[string]string{"": "assign rollout spread requests handoff", "handoff,assign": "assign handoff"} {
		chosen, err := choose(parts(), strings.FieldsFunc(only, func(r rune) bool { return r == ',' }))
		if got := strings.Join(names(chosen), " "); err != nil || got != want {
			t.Errorf("%q chooses %q, %v; want %q", only, got, err, want)
		}
	}
	if _, err := choose(parts(), []string{"speed"}); err == nil || !strings.Contains(err.Error(), `"speed" is not a part`) {
		t.Errorf("an unknown part: %v", err)
	}
}

// A part that fails does not keep the next from being measured, and the error says which it was.
func TestMeasureGoesOn(t *testing.T) {
	var out strings.Builder
	failing := part{"first", "", func(context.Context, *bench) error { return errors.New("no luck") }}
	fine := part{"second", "", func(_ context.Context, b *bench) error { b.add("x", 1); return nil }}
	err := measure(t.Context(), []part{failing, fine}, &out, &strings.Builder{})
	if err == nil || err.Error() != "first: no luck" || out.String() != "x: 1\n" {
		t.Errorf("printed %q, error %v", out.String(), err)
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for only, want := range map[string]string{
		"":               "assign rollout requests spread handoff takeover overlap throughput latency scaleout memory rest start",
		"handoff,assign": "assign handoff",
	} {
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
	b := &bench{figures: figures{out: &out}, progress: &strings.Builder{}}
	err := b.measure(t.Context(), []part{
		{"first", "", func(context.Context, *bench) error { return errors.New("no luck") }},
		{"second", "", func(_ context.Context, b *bench) error { b.add(figure{Name: "x", Value: 1}); return nil }},
	})
	if err == nil || err.Error() != "first: no luck" || out.String() != "x: 1\n" || len(b.parts) != 2 {
		t.Errorf("printed %q, error %v, kept %+v", out.String(), err, b.parts)
	}
}

// What a page says of the run is what somebody types to have the page made again.
func TestCommand(t *testing.T) {
	for _, test := range []struct {
		quick bool
		only  []string
		out   string
		want  string
	}{
		{false, nil, "../..", "make bench"},
		{false, []string{"spread", "handoff"}, "../..", "make bench BENCHFLAGS='--only spread,handoff --out=../..'"},
		{true, nil, "/somewhere", "make bench BENCHFLAGS='--quick --out=DIR'"},
	} {
		if got := command(test.quick, test.only, test.out); got != test.want {
			t.Errorf("the command is %s, want %s", got, test.want)
		}
	}
}

func TestCheckOut(t *testing.T) {
	measured, empty := t.TempDir(), t.TempDir()
	if err := madeUp().write(measured); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		tree          string
		render, quick bool
		want          string // of the error
	}{
		{tree: measured},
		{tree: measured, render: true},
		{tree: empty, quick: true},
		{quick: true},
		{tree: measured, quick: true, want: "--out has results that were measured"},
		{render: true, want: "--render: say with --out"},
	} {
		err := checkOut(test.tree, test.render, test.quick)
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v", test, err)
		}
	}
}

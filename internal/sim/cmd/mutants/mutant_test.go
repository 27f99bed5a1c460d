// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"go/parser"
	"go/token"
	"io"
	"strings"
	"testing"
)

// A mutant whose text is not there any more would build nothing but what ships.
func TestMutantsApply(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		names[m.name] = true
		edited, err := m.sources("../../../..")
		if err != nil {
			t.Error(err)
		}
		for file, source := range edited {
			if _, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution); err != nil {
				t.Errorf("mutant %q: %v", m.name, err)
			}
		}
	}
	if least := 12; len(mutants) < least {
		t.Errorf("%d mutants, want %d or more", len(mutants), least)
	}
}

func TestViolationIsFoundInTheOutput(t *testing.T) {
	for _, test := range []struct{ out, want string }{
		{"progress\nviolation: seed 7: at 3.000 s: b: exclusion: s1 is held by a, too\nmake sim SEED=7\n", "seed 7: at 3.000 s: b: exclusion: s1 is held by a, too"},
		{"faults\nnever happened: a term gained by take-over\nsim: 2000 histories\n", "never happened: a term gained by take-over"},
	} {
		if got, err := violationIn([]byte(test.out)); err != nil || got != test.want {
			t.Errorf("got %q, %v, want %q", got, err, test.want)
		}
	}
	if _, err := violationIn([]byte("sim: 10 histories, 0 violations\n")); err == nil {
		t.Error("a simulator that failed for another reason counts as a kill")
	}
}

func TestMutantsAreChosen(t *testing.T) {
	if got := len(choose("")); got != len(mutants) {
		t.Errorf("%d of %d mutants are chosen where nothing is asked for", got, len(mutants))
	}
	for _, m := range choose("R1") {
		if m.rule != "R1" && !strings.Contains(m.name, "R1") {
			t.Errorf("%q, of %s, is chosen as one of R1", m.name, m.rule)
		}
	}
	if len(choose("R1")) == 0 {
		t.Error("no mutant of R1 is chosen")
	}
	if got := choose(mutants[0].name); len(got) != 1 {
		t.Errorf("%d mutants are called %q", len(got), mutants[0].name)
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct{ args, says string }{
		{"-run=nosuch", `-run "nosuch": no mutant is called that`},
		{"-histories=0", "use 1 or more"},
		{"R1", `unexpected argument "R1": leave it out, or say -run "R1"`},
	} {
		err := run(context.Background(), strings.Fields(test.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %s", test.args, err, test.says)
		}
	}
}

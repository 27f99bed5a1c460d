// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/parser"
	"go/token"
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
	out := "progress\nviolation: seed 7: at 3.000 s: b: exclusion: s1 is held by a, too\nmake sim SEED=7\n"
	if got, err := violationIn([]byte(out)); err != nil || got != "seed 7: at 3.000 s: b: exclusion: s1 is held by a, too" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := violationIn([]byte("sim: 10 histories, 0 violations\n")); err == nil {
		t.Error("a simulator that failed for another reason counts as a kill")
	}
}

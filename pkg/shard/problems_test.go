// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestProblemsAreSummedUp(t *testing.T) {
	p := newProblems()
	if got := p.summary(); got != "" {
		t.Errorf("without problems: %q", got)
	}
	p.add(key("a"), errors.New("first"))
	p.add(key("a"), errors.New("again"))
	p.add(key("b"), errors.New("other"))
	p.solved(key("b"))
	if got, want := p.summary(), "1 failing, last ns/a: again"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
	p.add(key("c"), errors.New(strings.Repeat("long ", 1000)))
	if got := p.summary(); len(got) > maxProblem+len("...") {
		t.Errorf("the summary has %d bytes, want %d at most", len(got), maxProblem)
	}
	p.add(key("d"), errors.New("panic: no paint\n\tgoroutine 1\n"+strings.Repeat("ä", maxProblem)))
	if got := p.summary(); strings.ContainsAny(got, "\n\t") || !utf8.ValidString(got) {
		t.Errorf("the summary %q is not one line of text", got)
	}
	p.clear()
	if got := p.summary(); got != "" {
		t.Errorf("after clear: %q", got)
	}
}

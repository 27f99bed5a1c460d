// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/lease"
)

func TestProblemsAreSummedUp(t *testing.T) {
	p, term := newProblems(), work.Term{Number: 1}
	summary := func() string { return p.summaries()[term.Bucket] }
	if got := summary(); got != "" {
		t.Errorf("without problems: %q", got)
	}
	p.add(term, key("a"), errors.New("first"))
	p.add(term, key("a"), errors.New("again"))
	p.add(term, key("b"), errors.New("other"))
	if got, want := summary(), "2 failing, last ns/b: other"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
	p.solved(key("b"))
	if got, want := summary(), "1 failing, last ns/a: again"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
	p.add(term, key("c"), errors.New(strings.Repeat("long ", 1000)))
	if got := summary(); len(got) > maxProblem+len("...") {
		t.Errorf("the summary has %d bytes, want %d at most", len(got), maxProblem)
	}
	p.add(term, key("d"), errors.New("panic: no paint\n\tgoroutine 1\n"+strings.Repeat("ä", maxProblem)))
	if got := summary(); strings.ContainsAny(got, "\n\t") || !utf8.ValidString(got) {
		t.Errorf("the summary %q is not one line of text", got)
	}
	p.clear(term)
	if got := summary(); got != "" {
		t.Errorf("after clear: %q", got)
	}
}

func TestProblemsOfOneBucketStayWhenThoseOfAnotherGo(t *testing.T) {
	low := work.Term{Number: 1, Bucket: lease.Bucket{Index: 0, Of: 2, By: lease.ByUID}}
	high := work.Term{Number: 2, Bucket: lease.Bucket{Index: 1, Of: 2, By: lease.ByUID}}
	const a, b = "1 failing, last ns/a: no paint", "1 failing, last ns/b: no ink"
	for _, tc := range []struct {
		name  string
		after func(*problems)
		want  map[lease.Bucket]string
	}{
		{"both", func(*problems) {}, map[lease.Bucket]string{low.Bucket: a, high.Bucket: b}},
		{"a term ends", func(p *problems) { p.clear(low) }, map[lease.Bucket]string{high.Bucket: b}},
		{"a key is solved", func(p *problems) { p.solved(key("a")) }, map[lease.Bucket]string{high.Bucket: b}},
		{"a term drops a key", func(p *problems) { p.dropped(low, key("a")) }, map[lease.Bucket]string{high.Bucket: b}},
		{
			"a term drops a key with which another has met a problem", func(p *problems) { p.dropped(low, key("b")) },
			map[lease.Bucket]string{low.Bucket: a, high.Bucket: b},
		},
		{"a key fails for another bucket by now", func(p *problems) {
			p.add(high, key("a"), errors.New("no brush"))
			p.clear(low)
		}, map[lease.Bucket]string{high.Bucket: "2 failing, last ns/a: no brush"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProblems()
			p.add(low, key("a"), errors.New("no paint"))
			p.add(high, key("b"), errors.New("no ink"))
			tc.after(p)
			if got := p.summaries(); !maps.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestProblemsOfTooManyShardsAreLeftOut(t *testing.T) {
	for _, failing := range []int{0, maxFailing, 10 * maxFailing} {
		all := map[string]string{}
		for i := range failing {
			all[fmt.Sprintf("shard-%04d", i)] = "no database"
		}
		told := firstOf(all)
		if want := min(failing, maxFailing); len(told) != want {
			t.Errorf("of %d shards that fail %d are told, want %d", failing, len(told), want)
		}
		for i := range min(failing, maxFailing) {
			if name := fmt.Sprintf("shard-%04d", i); told[name] == "" {
				t.Errorf("of %d shards that fail %s is not told, although it is among the first", failing, name)
			}
		}
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// maxProblem bounds the text of a problem: it is carried by every heartbeat.
const maxProblem = 200

// problems are the keys whose last reconcile failed, for people to see.
type problems struct {
	mu      sync.Mutex
	failing map[Key]string // with the error's text, shortened
	last    Key
}

func newProblems() *problems { return &problems{failing: map[Key]string{}} }

func (p *problems) add(key Key, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing[key] = shorten(err.Error())
	p.last = key
}

func (p *problems) solved(key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.failing, key)
}

func (p *problems) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.failing)
}

// summary says how many objects fail and why the latest did; empty if none.
func (p *problems) summary() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.failing) == 0 {
		return ""
	}
	if _, still := p.failing[p.last]; !still {
		p.last = slices.MinFunc(slices.Collect(maps.Keys(p.failing)), func(a, b Key) int { return strings.Compare(a.String(), b.String()) })
	}
	return shorten(fmt.Sprintf("%d failing, last %s: %s", len(p.failing), p.last, p.failing[p.last]))
}

// shorten makes one line of a text, such as a panic with its stack, that is not
// too long for a table.
func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxProblem {
		return s
	}
	return strings.ToValidUTF8(s[:maxProblem], "") + "..." // the cut may split a character
}

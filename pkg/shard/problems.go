// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"sync"
)

// maxProblem bounds the text of a problem: it is carried by every heartbeat.
const maxProblem = 200

// problems are the keys whose last reconcile failed, for people to see.
type problems struct {
	mu      sync.Mutex
	failing map[Key]struct{}
	last    string
}

func newProblems() *problems { return &problems{failing: map[Key]struct{}{}} }

func (p *problems) add(key Key, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing[key] = struct{}{}
	p.last = fmt.Sprintf("%s: %s", key, err)
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
	return shorten(fmt.Sprintf("%d failing, last %s", len(p.failing), p.last))
}

func shorten(s string) string {
	if len(s) <= maxProblem {
		return s
	}
	return s[:maxProblem] + "..."
}

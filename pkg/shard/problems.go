// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/lease"
)

// maxProblem bounds the text of a problem: it is carried by every heartbeat.
const maxProblem = 200

// problems are the keys whose last reconcile failed, for people to see. One stays
// until its key is solved, by whatever term, or the term ends that met it.
type problems struct {
	mu      sync.Mutex
	failing map[Key]problem
	met     uint64 // how many there ever were
}

type problem struct {
	in     work.Term
	number uint64 // in the order in which they were met
	text   string // the error's, shortened
}

func newProblems() *problems { return &problems{failing: map[Key]problem{}} }

func (p *problems) add(in work.Term, key Key, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.met++
	p.failing[key] = problem{in: in, number: p.met, text: shorten(err.Error())}
}

func (p *problems) solved(key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.failing, key)
}

// dropped forgets what a term has met with a key that it is not to reconcile any
// more.
func (p *problems) dropped(in work.Term, key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failing[key].in == in {
		delete(p.failing, key)
	}
}

// clear forgets what a term has met.
func (p *problems) clear(in work.Term) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.failing, func(_ Key, one problem) bool { return one.in == in })
}

// summaries say, for each bucket with problems, how many objects fail and why the
// latest did.
func (p *problems) summaries() map[lease.Bucket]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	count, last := map[lease.Bucket]int{}, map[lease.Bucket]Key{}
	for key, one := range p.failing {
		bucket := one.in.Bucket
		if count[bucket]++; one.number >= p.failing[last[bucket]].number {
			last[bucket] = key
		}
	}
	all := make(map[lease.Bucket]string, len(count))
	for bucket, n := range count {
		all[bucket] = shorten(fmt.Sprintf("%d failing, last %s: %s", n, last[bucket], p.failing[last[bucket]].text))
	}
	return all
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

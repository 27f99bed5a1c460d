// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"sync"
	"time"
)

const (
	// maxDeletions bounds the deletions that a controller remembers: the
	// oldest are forgotten first.
	maxDeletions = 1024
	// rememberDeletions is for how long: longer than a take-over takes with
	// the slowest preset.
	rememberDeletions = 5 * time.Minute
)

// deletions are the keys that were deleted lately. A holder may die between a
// deletion and its reconcile; the next one then reconciles the key although it
// is in no cache (R12). Without a finalizer this is best effort: at most
// maxDeletions, for rememberDeletions, on a replica that ran at that time.
type deletions struct {
	mu   sync.Mutex
	ring []deletion // oldest first
}

type deletion struct {
	key Key
	at  time.Time
}

func newDeletions() *deletions { return &deletions{} }

func (d *deletions) add(key Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	if len(d.ring) == maxDeletions {
		d.ring = d.ring[1:]
	}
	d.ring = append(d.ring, deletion{key: key, at: time.Now()})
}

// recent returns the keys, oldest first.
func (d *deletions) recent() []Key {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	keys := make([]Key, len(d.ring))
	for i, del := range d.ring {
		keys[i] = del.key
	}
	return keys
}

func (d *deletions) forget() {
	for len(d.ring) > 0 && time.Since(d.ring[0].at) > rememberDeletions {
		d.ring = d.ring[1:]
	}
}

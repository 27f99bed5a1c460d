// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"sync"
	"time"
)

const (
	// maxDepartures bounds what a controller remembers: the oldest are
	// forgotten first.
	maxDepartures = 1024
	// rememberDepartures is for how long: longer than a take-over takes with
	// the slowest preset.
	rememberDepartures = 5 * time.Minute
)

// departures are the keys of objects that were deleted lately, or ceased to pass
// the Filter. A holder may die between such a change and its reconcile; the next
// one then reconciles the key although it is not among those that it works for
// (R12). Without a finalizer this is best effort: at most maxDepartures, for
// rememberDepartures, on a replica that ran at that time.
type departures struct {
	mu   sync.Mutex
	ring []departure // oldest first
}

type departure struct {
	key Key
	at  time.Time
}

func newDepartures() *departures { return &departures{} }

func (d *departures) add(key Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	if len(d.ring) == maxDepartures {
		d.ring = d.ring[1:]
	}
	d.ring = append(d.ring, departure{key: key, at: time.Now()})
}

// recent returns the keys, oldest first.
func (d *departures) recent() []Key {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	keys := make([]Key, len(d.ring))
	for i, gone := range d.ring {
		keys[i] = gone.key
	}
	return keys
}

func (d *departures) forget() {
	for len(d.ring) > 0 && time.Since(d.ring[0].at) > rememberDepartures {
		d.ring = d.ring[1:]
	}
}

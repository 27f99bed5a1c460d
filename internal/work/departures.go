// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"slices"
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

// departures are the keys of objects that were deleted lately, or ceased to be
// reconciled. A holder may die between such a change and its reconcile; the next
// one then reconciles the key although its cache does not have it (R12). Without
// a finalizer this is best effort: at most maxDepartures, for
// rememberDepartures, on a replica that ran at that time.
type departures[K comparable] struct {
	ring []departure[K] // oldest first
}

type departure[K comparable] struct {
	key K
	at  time.Time
}

func (d *departures[K]) add(now time.Time, key K) {
	d.forget(now)
	if len(d.ring) == maxDepartures {
		d.ring = d.ring[1:]
	}
	d.ring = append(d.ring, departure[K]{key: key, at: now})
}

// without returns the keys that have departed and are not among those given,
// oldest first.
func (d *departures[K]) without(now time.Time, cached []K) []K {
	d.forget(now)
	if len(d.ring) == 0 {
		return nil
	}
	gone := make(map[K]bool, len(d.ring))
	for _, one := range d.ring {
		gone[one.key] = true
	}
	for _, key := range cached {
		delete(gone, key)
	}
	var keys []K
	for _, one := range d.ring {
		if gone[one.key] {
			keys = append(keys, one.key)
			delete(gone, one.key)
		}
	}
	return keys
}

func (d *departures[K]) forget(now time.Time) {
	stale := slices.IndexFunc(d.ring, func(one departure[K]) bool { return now.Sub(one.at) <= rememberDepartures })
	if stale < 0 {
		stale = len(d.ring)
	}
	d.ring = d.ring[stale:]
}

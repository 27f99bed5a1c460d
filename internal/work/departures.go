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

// departures are the objects that were deleted lately, or ceased to be
// reconciled. A holder may die between such a change and its reconcile; the next
// one then reconciles the key although its cache does not have it (R12). Without
// a finalizer this is best effort: at most maxDepartures, for
// rememberDepartures, on a replica that ran at that time.
type departures[K Key] struct {
	ring []departure[K] // oldest first
}

type departure[K Key] struct {
	object Object[K]
	at     time.Time
}

func (d *departures[K]) add(now time.Time, o Object[K]) {
	d.forget(now)
	if len(d.ring) == maxDepartures {
		d.ring = d.ring[1:]
	}
	d.ring = append(d.ring, departure[K]{object: o, at: now})
}

// inherit takes in what others remember, of which it may know some itself.
func (d *departures[K]) inherit(others *departures[K]) {
	all := slices.Concat(others.ring, d.ring)
	slices.SortStableFunc(all, func(a, b departure[K]) int { return a.at.Compare(b.at) })
	d.ring = all[max(0, len(all)-maxDepartures):]
}

// without returns the objects that have departed and whose keys do not name any
// of those given, oldest first: a key that is in use again is reconciled for the
// object that it names now.
func (d *departures[K]) without(now time.Time, cached []Object[K]) []Object[K] {
	d.forget(now)
	if len(d.ring) == 0 {
		return nil
	}
	gone := make(map[K]bool, len(d.ring))
	for _, one := range d.ring {
		gone[one.object.Key] = true
	}
	for _, o := range cached {
		delete(gone, o.Key)
	}
	var objects []Object[K]
	listed := map[Object[K]]bool{}
	for _, one := range d.ring {
		if o := one.object; gone[o.Key] && !listed[o] {
			objects = append(objects, o)
			listed[o] = true
		}
	}
	return objects
}

// last is the object of the key that departed last, without a UID if none is
// remembered.
func (d *departures[K]) last(key K) Object[K] {
	for _, one := range slices.Backward(d.ring) {
		if one.object.Key == key {
			return one.object
		}
	}
	return Object[K]{Key: key}
}

func (d *departures[K]) forget(now time.Time) {
	stale := slices.IndexFunc(d.ring, func(one departure[K]) bool { return now.Sub(one.at) <= rememberDepartures })
	if stale < 0 {
		stale = len(d.ring)
	}
	d.ring = d.ring[stale:]
}

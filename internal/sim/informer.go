// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/shardctl/shardctl/internal/work"
)

// informer is the cache that one process has of a shard's objects: filled by a
// list-watch with the faults that the one of the Leases has, but on a connection
// of its own. What is in it is what reconciles read.
type informer struct {
	r      *Replica
	of     *objects
	chance source
	// changed and departed are told of what the cache has just taken in.
	changed, departed func(object)

	cache  map[string]object
	synced bool   // the first list is in it
	shown  uint64 // resourceVersion up to which it shows all changes

	connection int
	connected  bool
	arrives    time.Duration
	stalled    time.Duration // until when nothing arrives
}

// carry sends a state, to arrive after what was sent before.
func (in *informer) carry(o object) {
	in.arrive(func() {
		in.shown = o.rv
		in.take(o)
		in.tell(o)
	})
}

// arrive does something when what is sent now arrives, unless the connection
// has broken by then.
func (in *informer) arrive(do func()) {
	w, connection := in.r.w, in.connection
	in.arrives = max(in.arrives, w.now+w.Faults.WatchDelay.draw(in.chance.rng), in.stalled, in.r.Watch.Stalled)
	w.agenda.add(in.arrives, func() {
		in.r.awake(func() {
			if connection == in.connection {
				do()
			}
		})
	})
}

// take makes the cache show a state.
func (in *informer) take(o object) {
	if o.gone {
		delete(in.cache, o.key)
	} else {
		in.cache[o.key] = o
	}
}

// tell tells of a state that the cache has taken in.
func (in *informer) tell(o object) {
	if o.gone {
		in.departed(o)
	}
	in.changed(o)
}

// connect watches from where the cache is, or lists first.
func (in *informer) connect(relist bool) {
	if in.r.Gone {
		return
	}
	if relist || !in.synced {
		in.list()
		return
	}
	in.watch()
}

// list reads a list, which may be some states behind, but not behind the cache.
func (in *informer) list() {
	newest := in.of.rv()
	rv := newest
	if stale := uint64(in.r.w.Faults.staleList); stale > 0 {
		oldest := max(in.shown, newest-min(newest-1, stale))
		if drawn := oldest + in.chance.rng.Uint64N(newest-oldest+1); drawn < newest && in.chance.happens(StaleList) {
			rv = drawn
		}
	}
	listed := in.of.at(rv)
	in.arrive(func() {
		in.replace(listed, rv)
		in.watch()
	})
}

// replace makes the cache show a list: each difference is a change.
func (in *informer) replace(listed map[string]object, rv uint64) {
	var changes []object
	for _, key := range in.keys() {
		if _, ok := listed[key]; !ok {
			o := in.cache[key]
			o.gone = true
			changes = append(changes, o)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(listed)) {
		if o := listed[key]; o.rv != in.cache[key].rv {
			changes = append(changes, o)
		}
	}
	for _, o := range changes {
		in.take(o)
	}
	in.synced, in.shown = true, rv
	for _, o := range changes {
		in.tell(o)
	}
}

// state says how far the cache is.
func (in *informer) state() work.Cache {
	c := work.Cache{Resource: in.of.resource}
	if in.synced {
		c.ResourceVersion = formatRV(in.shown)
	}
	return c
}

// keys are those in the cache, sorted.
func (in *informer) keys() []string { return slices.Sorted(maps.Keys(in.cache)) }

func (in *informer) watch() {
	in.connected = true
	for _, o := range in.of.history[in.shown:] {
		in.carry(o)
	}
}

// breakOff ends the connection; it comes back after a while.
func (in *informer) breakOff(pause time.Duration, relist bool) {
	in.connection++
	in.connected = false
	connection := in.connection
	in.r.w.after(pause, func() {
		if connection == in.connection {
			in.connect(relist)
		}
	})
}

// heal ends what keeps events from arriving.
func (in *informer) heal() {
	in.stalled = in.r.w.now
	in.arrives = min(in.arrives, in.r.w.now+time.Second)
	in.breakOff(0, in.chance.chance(0.5))
}

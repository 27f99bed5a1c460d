// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"time"
)

// user makes, changes and deletes objects for as long as there are faults, some
// of them with a finalizer.
type user struct {
	w        *World
	chance   source
	scale    time.Duration // about a LeaseDuration
	interval Span
}

// shareWithObjects of the histories have some.
const shareWithObjects = 0.9

// maxKeys bounds the objects of one shard.
const maxKeys = 3

// populate gives the shards of a group objects; it is called before the first
// replica starts. Nil if there are none to have objects.
func (w *World) populate(scale time.Duration) *user {
	u := &user{w: w, chance: w.newObjectSource(), scale: scale, interval: Span{0, scale / 2}}
	for _, s := range w.Config.Shards {
		if s.Buckets > 0 || w.scheduled(s.Name) {
			continue // the keys of a divided one are looked at one by one: see Unowned
		}
		of := newObjects(s.Name)
		w.objects = append(w.objects, of)
		for i := range 1 + u.chance.rng.IntN(maxKeys) {
			of.names = append(of.names, fmt.Sprintf("%s-%d", s.Name, i+1))
			if u.chance.chance(0.7) {
				u.change(of, of.names[i])
			}
		}
	}
	if len(w.objects) == 0 {
		return nil
	}
	return u
}

// begin acts from now on, until the faults heal.
func (u *user) begin() {
	u.w.after(u.interval.draw(u.chance.rng), func() {
		if u.w.healedAt > 0 {
			return
		}
		u.act()
		u.begin()
	})
}

func (u *user) act() {
	rng := u.chance.rng
	of := u.w.objects[rng.IntN(len(u.w.objects))]
	switch alive := u.w.Alive(); {
	case len(alive) == 0 || u.chance.chance(0.8):
		u.change(of, of.names[rng.IntN(len(of.names))])
	default:
		u.disturb(alive[rng.IntN(len(alive))].controllers[of.resource].in)
	}
}

// change does something to an object, whatever it is at this moment.
func (u *user) change(of *objects, key string) {
	o, ok := of.current[key]
	switch {
	case !ok:
		o = object{key: key, generation: 1, finalizer: u.chance.chance(0.5)}
	case o.deleting:
		return
	case u.chance.chance(0.7):
		o.generation++
	case o.finalizer:
		o.deleting = true
	default:
		o.gone = true
	}
	u.w.Checks.Work.Changes++
	of.commit(o)
	if o.gone {
		delete(of.goal, key) // nothing holds it until somebody has seen to it
	} else {
		of.goal[key] = of.rv()
	}
	if u.w.Transcript != nil {
		u.w.logf("user", "%s", o)
	}
}

// disturb keeps events from an informer for a while.
func (u *user) disturb(in *informer) {
	d := Span{0, 2 * u.scale}.draw(u.chance.rng)
	switch {
	case u.chance.chance(0.5):
		if u.chance.happens(WatchStalled) {
			u.w.logf(in.r.Name, "watch of %s stalls for %s", in.of.resource, d)
			in.stalled = u.w.now + d
		}
	case u.chance.happens(WatchBroken):
		u.w.logf(in.r.Name, "watch of %s breaks", in.of.resource)
		if u.chance.chance(0.3) { // the type is made anew
			in.synced = false
		}
		in.breakOff(d/4, u.chance.chance(0.5))
	}
}

// String is a state as a line of the transcript.
func (o object) String() string {
	switch {
	case o.gone:
		return o.key + " is gone"
	case o.deleting:
		return fmt.Sprintf("%s is being deleted, generation %d, observed %d", o.key, o.generation, o.observed)
	}
	return fmt.Sprintf("%s is at generation %d, observed %d", o.key, o.generation, o.observed)
}

// repair ends what keeps events from the informers of a process.
func (r *Replica) repair() {
	for _, of := range r.w.objects {
		r.controllers[of.resource].in.heal()
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import "github.com/shardctl/shardctl/pkg/lease"

// object is one state of one object of a shard's resource type.
type object struct {
	key string
	rv  uint64
	// generation counts what users wanted of it; observed is the one that its
	// status tells to be reconciled.
	generation, observed int
	finalizer, deleting  bool
	gone                 bool // it does not exist any more
}

// objects are all of one shard's resource type, as the API server has them: one
// linear history of states, a resourceVersion for each, compare-and-swap on it.
type objects struct {
	resource string
	current  map[string]object // those that exist
	// history holds the state that was written at resourceVersion n at n-1.
	history   []object
	informers []*informer
	names     []string // of all that there may be
	// goal is the resourceVersion as of which each has to be reconciled, reached
	// that as of which a holder has.
	goal, reached map[string]uint64
}

func newObjects(resource string) *objects {
	return &objects{
		resource: resource, current: map[string]object{}, history: []object{{rv: 1}},
		goal: map[string]uint64{}, reached: map[string]uint64{},
	}
}

func (s *objects) rv() uint64 { return uint64(len(s.history)) }

// commit writes a state, and shows it to all watches.
func (s *objects) commit(o object) {
	o.rv = s.rv() + 1
	s.history = append(s.history, o)
	if o.gone {
		delete(s.current, o.key)
	} else {
		s.current[o.key] = o
	}
	for _, in := range s.informers {
		if in.connected && !in.r.Gone {
			in.carry(o)
		}
	}
}

// swap writes a state made from the one at its resourceVersion, if that is
// still the current one. An object that is being deleted goes with its
// finalizer.
func (s *objects) swap(o object) (lease.Outcome, uint64) {
	have, ok := s.current[o.key]
	switch {
	case !ok:
		return lease.NotFound, 0
	case have.rv != o.rv:
		return lease.Conflict, 0
	}
	o.gone = o.deleting && !o.finalizer
	s.commit(o)
	if o.gone {
		delete(s.goal, o.key) // whoever took the finalizer away had seen that it was to go
	}
	return lease.OK, s.rv()
}

// at is what a list read at a resourceVersion.
func (s *objects) at(rv uint64) map[string]object {
	state := map[string]object{}
	for _, o := range s.history[1:rv] {
		if o.gone {
			delete(state, o.key)
		} else {
			state[o.key] = o
		}
	}
	return state
}

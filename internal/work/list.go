// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import "time"

// Term numbers the terms that a process was granted, in the order of their
// grants, from 1 up.
type Term uint64

// Decision is what is to become of a key.
type Decision int

const (
	// Drop it: the term takes no keys any more, and the next one reconciles all.
	Drop Decision = iota
	// Wait and ask again: it must not be reconciled just now.
	Wait
	// Reconcile it now, and call Finish when that has returned.
	Reconcile
	// Forget how often it failed: it is done, until it changes.
	Forget
	// Retry it, with back-off.
	Retry
)

// Outcome is how a reconcile ended.
type Outcome int

const (
	// Failed with an error.
	Failed Outcome = iota
	// Succeeded: the object was in its desired state, as far as the cache told.
	Succeeded
	// Interrupted: the term was over, or its grace, before the reconcile
	// returned, so that nothing it says counts.
	Interrupted
)

// Conditions are what has to hold while a reconcile starts.
type Conditions struct {
	// Valid: the term may be acted on at this instant. A process that was
	// stopped for a while may notice here that it may not, before any timer does.
	Valid bool
	// Synced: every cache that the reconcile may read is complete.
	Synced bool
}

// List is the work of one controller in one process. K names an object. The
// zero List is ready for use.
type List[K comparable] struct {
	newest  Term       // begun last, or stopped
	taking  bool       // whether it takes keys
	running map[K]Term // reconciles that have not returned, of whatever term
	gone    departures[K]
}

// Begin makes the list take keys for a term, and for no other. It is called
// before the cache is read for the Backlog, so that a change is in one of both.
// False if it takes none, because it was stopped already, or a later one began.
func (l *List[K]) Begin(t Term) bool {
	if t <= l.newest {
		return false
	}
	l.newest, l.taking = t, true
	return true
}

// Backlog is what a term that has begun reconciles because anything may have
// happened to it before: every key that the cache holds, and those that have
// departed lately (R12). They are queued behind what changes meanwhile.
func (l *List[K]) Backlog(now time.Time, cached []K) []K {
	return append(cached, l.gone.without(now, cached)...)
}

// Departed notes that an object was deleted, or is not reconciled any more for
// what it has become.
func (l *List[K]) Departed(now time.Time, key K) { l.gone.add(now, key) }

// Taking tells whether a term takes keys: what changes is to be queued for it.
// Without one there is nothing to do, since a term begins with every key.
func (l *List[K]) Taking() bool { return l.taking }

// Start decides about a key that is next in a term's queue.
func (l *List[K]) Start(t Term, key K, c Conditions) Decision {
	if !l.takes(t) {
		return Drop
	}
	if _, runs := l.running[key]; runs || !c.Valid || !c.Synced {
		return Wait
	}
	if l.running == nil {
		l.running = map[K]Term{}
	}
	l.running[key] = t
	return Reconcile
}

// Finish decides about a key whose reconcile has returned.
func (l *List[K]) Finish(t Term, key K, o Outcome) Decision {
	delete(l.running, key)
	switch {
	case o == Interrupted:
		return Drop
	case o == Succeeded:
		return Forget
	case l.takes(t):
		return Retry
	}
	return Drop
}

// Stop makes a term take no more keys, or none if it has not begun yet. What
// runs goes on.
func (l *List[K]) Stop(t Term) {
	if t >= l.newest {
		l.newest, l.taking = t, false
	}
}

// Idle tells whether a term takes no keys and nothing of it runs any more. Not
// before may the shard be given away.
func (l *List[K]) Idle(t Term) bool {
	if l.takes(t) {
		return false
	}
	for _, of := range l.running {
		if of == t {
			return false
		}
	}
	return true
}

func (l *List[K]) takes(t Term) bool { return l.taking && t == l.newest }

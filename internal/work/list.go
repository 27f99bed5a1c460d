// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"slices"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Term is one that a process was granted, of any shard of a family.
type Term struct {
	// Number counts the terms of the process in the order of their grants, from 1
	// up.
	Number uint64
	// Bucket is which of the family's objects it is about.
	Bucket lease.Bucket
}

// Decision is what is to become of a key.
type Decision int

const (
	// Drop it: the term takes no keys any more, and the next one reconciles all; or
	// the key names an object of another bucket by now.
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

// List is the work of one controller in one process, for all shards of its
// family, in whatever layout. The zero List is ready for use.
type List[K Key] struct {
	// parts are about buckets that do not overlap. So there are no more than
	// lease.MaxBuckets, and no object is in two.
	parts   []part
	running map[K]Term // reconciles that have not returned, of whatever term
	gone    departures[K]
}

// part is how it stands with the objects of one bucket.
type part struct {
	newest Term // begun last, or stopped
	taking bool // whether it takes keys
}

// Begin makes a term take the keys of its bucket, and no other term any key that
// may be one of them. It is called before the cache is read for the Backlog, so
// that a change is in one of both. False if it takes none, because it was stopped
// already, or a later one began.
func (l *List[K]) Begin(t Term) bool {
	if l.since(t, t.Number) {
		return false
	}
	l.replace(part{newest: t, taking: true})
	return true
}

// Backlog is what a term that has begun reconciles because anything may have
// happened to it before: every object of its bucket that is in the cache, all of
// which is given, and those that have departed lately (R12). They are queued
// behind what changes meanwhile.
func (l *List[K]) Backlog(t Term, now time.Time, cached []Object[K]) []K {
	return append(within(t.Bucket, cached), within(t.Bucket, l.gone.without(now, cached))...)
}

// Departed notes that an object was deleted, or is not reconciled any more for
// what it has become.
func (l *List[K]) Departed(now time.Time, o Object[K]) { l.gone.add(now, o) }

// Inherit has the list remember what has departed under another, whose place it takes.
func (l *List[K]) Inherit(from *List[K]) { l.gone.inherit(&from.gone) }

// Remembered is the object that the key named last, for keys that are not in the
// cache; without a UID if that is not remembered.
func (l *List[K]) Remembered(key K) Object[K] { return l.gone.last(key) }

// Taker is the term for which a change of the object is to be queued; there is
// one at most. Without one there is nothing to do here, since a term begins with
// every key of its bucket.
func (l *List[K]) Taker(o Object[K]) (Term, bool) {
	if len(l.parts) == 0 {
		return Term{}, false
	}
	position := o.position(l.parts[0].newest.Bucket.By) // what does not overlap is of one partition
	for _, p := range l.parts {
		if p.newest.Bucket.Contains(position) {
			return p.newest, p.taking
		}
	}
	return Term{}, false
}

// Divided tells whether terms take keys of buckets, so that Taker and Start have to know
// which object a key names, and not only the key.
func (l *List[K]) Divided() bool {
	return slices.ContainsFunc(l.parts, func(p part) bool { return p.newest.Bucket.Of > 1 })
}

// Start decides about a key that is next in a term's queue. The UID is that of
// the object to be reconciled that the key names in the cache now, empty if it
// names none: if that belongs to another bucket, whoever has it was told of it.
func (l *List[K]) Start(t Term, o Object[K], c Conditions) Decision {
	if !l.takes(t) || o.UID != "" && !o.In(t.Bucket) {
		return Drop
	}
	if _, runs := l.running[o.Key]; runs || !c.Valid || !c.Synced {
		return Wait
	}
	if l.running == nil {
		l.running = map[K]Term{}
	}
	l.running[o.Key] = t
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
	if !l.since(t, t.Number+1) {
		l.replace(part{newest: t, taking: false})
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

func (l *List[K]) takes(t Term) bool { return slices.Contains(l.parts, part{newest: t, taking: true}) }

// since tells whether a term of this number or a later one has been heard of that
// shares keys with t.
func (l *List[K]) since(t Term, number uint64) bool {
	return slices.ContainsFunc(l.parts, func(p part) bool {
		return p.newest.Number >= number && p.newest.Bucket.Overlaps(t.Bucket)
	})
}

// replace puts a part in the place of all that share keys with it: those of its
// own bucket, and of another layout's.
func (l *List[K]) replace(with part) {
	l.parts = slices.DeleteFunc(l.parts, func(p part) bool { return p.newest.Bucket.Overlaps(with.newest.Bucket) })
	l.parts = append(l.parts, with)
}

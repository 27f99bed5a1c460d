// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package work decides what a replica does for a shard: which keys it
// reconciles when, and when a term has really ended. The package shard carries
// the decisions out, with goroutines and client-go's queues; the simulator
// carries out the very same ones without either.
//
// A [List] is the work of one controller in one process, over all its terms, of
// all buckets of its family; [Lanes] is the order of a term's queue; [Writes] are
// what one term sent; [Promote] says when a new term may begin.
//
// # Invariants
//
//   - A term takes keys from its beginning until it is stopped or a later one
//     begins that shares keys with it, whichever order the goroutines of two terms
//     come in.
//   - No object is taken for two terms: those that take keys are of buckets that
//     do not overlap.
//   - What changes while a term takes keys is queued for it, if it is in the
//     term's bucket; what changed before is in its backlog. So no change falls
//     between two terms, nor between two buckets.
//   - A key is reconciled once at a time, also across terms, buckets and layouts.
//   - A term is idle only when it takes no keys and the last of its reconciles
//     has returned.
//
// # Which bucket has what
//
// Every object is in exactly one bucket of a layout, and the election grants a
// bucket only when the work of all that overlap it has ended (DESIGN.md 4.9). What
// is left to show is that each replica finds the right one, although its caches
// lag behind.
//
// An object's own event carries its UID, and so goes to its bucket. If that is
// not taken here, somebody else has it, or whoever begins it next finds the object
// in its cache: caches are filled before events are told.
//
// A change of another type's object names a key. The object that the cache has
// under it says which bucket is meant, or else the one that has departed from it
// last. Should that be out of date, because an object has come or gone under the
// key and its event is still to be told, then that event goes to the right bucket,
// and by then the caches show the change of the other type's object, too. A key of
// which nobody knows the UID goes by its hash, to one bucket on all replicas: there
// is no object, as far as this replica knows, and one that comes will have an event
// of its own.
//
// A key that is queued for the bucket of an object that was deleted may name one
// of another bucket when its turn comes. It is dropped: that one has had its
// event. With [lease.ByUID] two replicas may therefore work under one name for a
// moment, one for the object that has gone and one for the next; with the other
// partitions a name stays in its bucket for good.
//
// Nothing here reads a clock, starts a goroutine or takes a lock: whoever owns a
// value calls it from one goroutine at a time, and says what time it is.
//
// # Tests
//
// Tables here, among them one that checks the source for what is said above;
// random layouts for which bucket has what; the histories of the package sim for
// everything together.
package work

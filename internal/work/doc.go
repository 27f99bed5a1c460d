// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package work decides what a replica does for a shard: which keys it
// reconciles when, and when a term has really ended. The package shard carries
// the decisions out, with goroutines and client-go's queues; the simulator
// carries out the very same ones without either.
//
// A [List] is the work of one controller in one process, over all its terms;
// [Lanes] is the order of its queue; [Writes] are what one term sent; [Promote]
// says when a new term may begin.
//
// # Invariants
//
//   - A term takes keys from its beginning until it is stopped or a later one
//     begins, whichever order the goroutines of two terms come in.
//   - What changes while a term takes keys is queued for it; what changed before
//     is in its backlog. So no change falls between two terms.
//   - A key is reconciled once at a time, also across terms.
//   - A term is idle only when it takes no keys and the last of its reconciles
//     has returned.
//
// Nothing here reads a clock, starts a goroutine or takes a lock: whoever owns a
// value calls it from one goroutine at a time, and says what time it is.
//
// # Tests
//
// Tables here, among them one that checks the source for what is said above;
// the histories of the package sim for everything together.
package work

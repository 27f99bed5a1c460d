// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lease is the election: who of a group of replicas holds which shard.
//
// An [Election] is one replica's part in it, as a pure state machine: it takes
// events (what the group's watch showed, what a request came to, that time has
// passed) and returns effects (send this request, start this term, stop that
// one). A [Driver] is the one goroutine around it; it owns the clock, the watch
// and the requests.
//
// # How it works
//
// Every replica renews one Lease of its own, the member Lease: its session.
// A shard has a Lease too, which names its holder. In [SessionMode] that is
// written only when the shard changes hands, and live for as long as its
// holder's session is; in [LeaseMode] it is renewed by itself besides, so that
// electors of another kind can contend for it. All Leases of a group carry one
// label, so one list-watch shows them all in the one order in which they were
// written. Nobody polls.
//
// What a replica is configured for is families of shards: a resource type or a
// role. A type may be divided into buckets, each of which is a shard; how, the
// layout record says, whatever replicas are configured for. It is changed in two
// phases: see family.go, and docs/design/004-buckets.md for why no key has two
// owners meanwhile.
//
// # Invariants
//
// The rules R1 to R15 of the design are named where they are kept. In short:
//   - A session is valid for the RenewDeadline from the instant at which a
//     renewal was sent, and only once that renewal has come back on the watch.
//   - A shard is taken from a holder only after its session was ended by
//     compare-and-swap on its member Lease, or in lease mode by compare-and-swap
//     on the very Lease that is renewed; so a renewal under way and a take-over
//     cannot both succeed.
//   - An identity whose session is over is never used again.
//   - A term begins only on a record that names the very session, at an epoch
//     above all that have ended here; it is over as soon as a write that gives
//     the shard away is sent.
//   - Creating a shard Lease grants nothing.
//   - A bucket is claimed only when all Leases of the last layout that it overlaps
//     are sealed, by compare-and-swap on each.
//   - No wall-clock time is ever read: the machine does not even see one.
//
// # Tests
//
// Package internal/sim runs the machines against a model of the API server on
// virtual time, in histories from random seeds and in the scenarios of the tests
// here; exclusion is checked by true time. The machine and the decoding of Leases
// are fuzzed. The driver runs under testing/synctest, the client over connections
// that swallow bytes, and all of it against a real API server, beside client-go's
// elector, in the e2e module.
package lease

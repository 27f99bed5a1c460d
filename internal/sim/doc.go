// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sim runs the election of pkg/lease, the very machines that ship,
// against a model of the API server on virtual time. All chance comes from a
// seed: the same seed is the same history, on any machine.
//
// A [World] is a group of replicas around one [Server]. A [Replica] is a machine
// with what the driver is around it: a clock of its own rate, requests of which
// the outcome may be anything, a list-watch that may be late, break off or go
// stale, and the validity as the driver's fence has it, built from the effects
// one by one. A [History] lets a random subset of all kinds of faults happen for a
// while, and then heals them.
//
// Most histories have objects ([WorkCounts]), which users change, and which the
// holders of the shards reconcile: through caches with faults of their own, by
// the machine of internal/work that ships. In some the work has something on record
// ([LedgerCounts]), and in some one family is a schedule ([ScheduleCounts]), driven by
// the machine of internal/schedule that ships.
//
// # What it checks
//
// After everything that happens, by true time: no two replicas may act for one
// shard (G1), nor may one when the standard rules let a foreign elector take its
// Lease (R14); whoever takes a shard has ended the session of its holder, which
// nobody takes back (R1); a shard is given away only after the work has ended
// (R2), to a member that was ready and of no older revision, who is told of all
// that was written; fencing tokens and epochs rise (R3, R7); a term ends once; at
// most one request is under way on a Lease, and no update without its
// resourceVersion; nobody is busier than it should be. After the faults have
// healed: every shard is held again in time (G5), shares are even (G6), and a
// stable group moves nothing and sends heartbeats only, and what its schedules enter.
//
// Of the work: a reconcile starts only within the validity of a term that takes
// keys, with a complete cache, and is the only one of its key in the process; a
// write leaves the process only within the validity that the machine promised, and
// before the work of its term was said to have ended (G2); the work of a term is
// said to have ended only when no reconcile of it runs and its writes were
// answered, or have gone unanswered for the drain's time-out (R13). After the
// faults have healed: every object is reconciled as it was last changed, or later
// (G4), deleted ones where a finalizer holds them.
//
// Of what is on record: a term begins with what the last one had entered, or with
// something newer of that one; nobody else writes it, and nobody forgets it who has seen
// it. Of schedules: a tick is started only once its claim is on record, in that very
// term, and once, or again only where it may be; what comes to nothing is accounted for.
//
// In some histories the clocks are further apart than the stated bound (R8):
// there two holders are possible, and counted.
//
// One history in ten follows a template (templates.go, timely.go) into a corner
// that chance hardly ever meets. Some of these say how soon a shard is held
// again where nothing else goes wrong: a LeaseDuration and a second after a
// crash, a second after a known death, 50 ms without a holder in a hand-over.
//
// [Control] runs client-go's elector on the same server under the same faults:
// what is known to be wrong with it is found here, too.
//
// # What it cannot show
//
// That the driver, the client and the watch of pkg/lease do as the model does: the
// tests of pkg/lease and those on a real control plane look at that. The fence
// here is the simulator's own, as simple as a fence can be: the RoundTripper of
// pkg/shard is tested there. Nor anything about a write that is under way in the
// API server while its term ends, which no client can prevent: see the server
// fence. Nor that the API server keeps its promises; it is taken to be one linear
// history.
//
// # How it is used
//
// `make sim` runs 20,000 histories, `make sim SEED=n` shows one; the first that
// violates anything is made as short as it gets ([Minimize]), and can be kept as
// a regression: regressions_test.go says how. The histories that everyone should
// read are in testdata; they are written anew with -update. Tests set up a World
// by hand. Time passes only in [World.Run] and [World.Until].
package sim

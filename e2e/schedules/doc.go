// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schedules kills, stops and cuts off replicas at every step of a schedule's run, on a real control plane, and
// accounts for every tick.
//
//	report, err := schedules.Run(ctx, schedules.Options{ControlPlane: cp, Binary: shardctl, Dir: dir})
//	err = errors.Join(err, report.Err())
//
// There is one group of three replicas, each a process with a token bound to its Pod and a network of its own, and some twenty
// schedules, most with a tick each second. What they call is a hook of this package, which remembers every call. The [Strikes]
// come one after the other: each waits for its moment (a claim that etcd has taken and whose answer is held up, the beginning
// of a call, its answer, the record of its end, ...) and does harm to the replica just then. In the end everything is given back
// in order.
//
// # The truth
//
// What was claimed when and by whom, a watch of etcd tells from the first revision: every version of every Lease with its
// ledger. What was started, the calls tell. [Judge], a pure function, puts the two together:
//
//   - Every call has a claim, made before in the very term that the call is of; a repeated one in a later term.
//   - With atMostOnce no tick is called twice. One that was claimed and not called is lost; that is allowed only if the term
//     was not given away in order, and it was the last claim of that term.
//   - With atLeastOnce every tick that was claimed has come to an end in some call; only what the last replica of all had just
//     claimed when it left may be on record as unfinished.
//   - Each tick of the time table was either claimed or counted as passed over.
//
// A report is an error too if it proves nothing: if a strike never hit, or had not the effect for which it was made, or
// if there were too few ticks.
//
// # Limits
//
// Whether a replica was granted a term by right is not looked at here: that is what package faults and the simulator do. That
// nobody starts a run after its term is over cannot be judged by an observer, for a call may be under way.
//
// # Tests
//
// Judge has a table of hand-made histories, each with one thing wrong or nothing. The rest is the test itself.
package schedules

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package faults does harm to groups of replicas on real control planes, and counts what came of it: the fault tests, of which
// docs/faults.md is the description and has the last result.
//
//	table, err := faults.Run(ctx, faults.Options{Dir: dir, Progress: os.Stderr})
//	err = errors.Join(err, table.Print(os.Stdout), table.Err())
//
// Every kind of fault has control planes of its own, of up to 25 runs each. There are groups of three replicas, processes of
// e2e/cmd/faultreplica behind one network proxy each, that do the work of the package workload; all but the control's are
// subject to the fence in the API server. A run is: a settled group under load, the fault at the holder of some shard in the
// middle of a reconcile, the end of the fault, and the wait until every shard is held and every object reconciled. The windows
// from one run's end to the next one's leave out no write; package oracle judges them by the order in which etcd took the
// writes.
//
// What may be up to chance comes from the seed, the kind and the run's number. Whom a fault hits also depends on who holds
// which shard by then, so that a run repeated is like the first, not the same.
//
// # Invariants
//
//   - Whatever happens, [Run] ends every process that it has started, and every wait has a limit.
//   - A row that shows nothing is an error, as is one that shows what must not be: see [Row.Err].
//
// # Tests
//
// The rows' judgement and what is drawn have tables. The short version of the whole thing, one run of each kind, is a test.
package faults

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package shard runs controllers whose replicas share the work. Every replica
// watches every resource type, so all are warm; the right to write is split
// into shards, one per type or role, and each shard is held by one replica at
// a time. A type with much work is divided into several: its buckets (see
// Controller.Buckets).
//
//	group, err := shard.NewGroup(restConfig, shard.GroupOptions{Name: "widgets-operator", Namespace: ns})
//	...
//	client, err := dynamic.NewForConfig(group.FencedConfig())
//	...
//	err = group.Add(shard.Controller{
//		Resource: schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"},
//		Reconcile: func(ctx context.Context, key shard.Key) (shard.Result, error) {
//			// ctx carries the term: pass it on to every write.
//			...
//		},
//	})
//	err = group.AddRole(shard.Role{Name: "importer", Run: func(ctx context.Context) error { ... }})
//	err = group.AddSchedule(shard.Schedule{Name: "nightly-report", Cron: "0 2 * * *", Run: report})
//	return group.Run(ctx)
//
// # Terms
//
// One holding of one shard is a [Term]. It begins when the replica gains the
// shard: every object is then reconciled once, from the warm cache, behind
// whatever changes meanwhile. It ends in one of two ways. If the shard is
// handed over, no more keys are taken, what runs gets a grace, then its context
// is cancelled, and only when the last reconcile has returned and its writes have
// been answered does the next replica get the shard. If the session's validity passes, the term is over at
// that instant, and the fence sends no more of its writes.
//
// # Roles and schedules
//
// Work that has no resource type is a [Role], a shard like any other: its Run goes on
// while this replica holds it. Run's context is cancelled with the first word that the
// role is to be given away; that waits until Run has returned. A role may have a [Gate]: a
// replica on which that is closed does not take it. [Group.Yield] gives a role up,
// [Role.OnNewLeader] and [Group.Chronicle] tell who has it.
//
// A [Schedule] is a role that does something at certain times. It claims each of them in
// the shard's ledger before it begins, so nothing is begun twice in the whole group; any
// role can use that ledger to remember something from holder to holder: [Term.Enter].
//
// # Invariants
//
//   - A key is reconciled by one goroutine at a time in a process, also across
//     two terms of one shard, or of two buckets.
//   - An object is in one bucket of its type, and reconciled for no other one. With
//     [lease.ByUID] the next object of the same name may be in another.
//   - A write through [Group.FencedConfig] is not sent once its own term is
//     over, whether or not the replica holds the shard anew.
//   - A shard is given away only after its last reconcile has returned, and every
//     write that it sent through the fence has been answered, or has failed, or
//     has gone unanswered for the DrainTimeout. A connection that breaks tells
//     nothing of the write on it, which may still be carried out: it counts as
//     under way until the object, read back, shows that it would be in vain, or
//     for a minute, within the DrainTimeout.
//   - An entry in a ledger, once [Term.Enter] has returned nil, is what every later term
//     of the shard begins with, or something entered later still.
//   - After a change to an object, some holder reconciles it at or after that
//     change. Deletions without a finalizer, and objects that cease to pass the
//     Filter, are covered as far as a bounded memory reaches.
//   - Losing a shard never ends the process; nothing that [Group.Run] started
//     outlives it, except work that ignores its context.
//
// # Tests
//
// What to do when is decided by the machines of the packages lease and
// internal/work, which internal/sim runs through random histories; internal/work
// says why no object is taken twice or left out, whatever is divided. Queue, fence
// and assignment are tested by themselves; whole groups run on virtual time
// against an API server for Leases in memory, and as processes against a real
// one in the e2e module.
package shard

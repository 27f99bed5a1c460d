// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oracle knows who held which shard when, and who wrote what: the judge of the fault tests.
//
// A [Recorder] watches etcd itself from the first revision, so it has the one order in which Leases changed hands and objects
// were written, which no client of the API server can see. An [Audit] reads the API servers' audit logs, which say whose request
// each write was. [Attribute] joins the two, and [Judge], a pure function, replays them: the holder of an object's shard at the
// revision of a write is whom the Lease named at the greatest revision before. A write by any other replica overlaps.
//
//	recorder, err := oracle.Start(ctx, oracle.Options{Endpoints: []string{cp.EtcdEndpoint()}, TLS: cp.EtcdTLS()})
//	audit := oracle.NewAudit(cp.AuditLogPaths()...)
//	...                                                         // revisions from and to, and what happens between them
//	history, err := oracle.Attribute(ctx, recorder, audit, to)
//	verdict := oracle.Judge(config, history, oracle.Window{From: from, To: to})
//	err = errors.Join(verdict.Err(), verdict.Proved())
//
// # Who wrote
//
// The audit entry of a write has the object as it was stored: its UID and resourceVersion, which is etcd's revision, find it. A
// deletion is found by the UID, be it that of a delete or of the update that removed the last finalizer. An API server that is
// killed has no entry of what it has just done, and of a request that failed half-way the entry has no object. Then, in this
// order: the object's own word if it is new ([Mark]); the only one whose request of this object may have been carried out; the
// own word that was there before, if the object's generation has not changed. Every writer that does not write by one of
// a Pod's tokens, such as the garbage collector, is nobody's replica, and is not judged. If nothing tells the writer, the write
// is unattributed and the verdict an error.
//
// # Limits
//
//   - Sessions of one Pod are not told apart: a write that a container has left behind counts as that of its successor.
//   - An update that changes nothing is not stored, so it is not judged.
//   - Whether the admission of a write was asked before or after the Lease changed is not known. What counts is what was stored.
//   - Times, of gaps, are when the recorder saw something: after a restart of etcd that is late by the time it takes to
//     reconnect.
//   - etcd must not compact what the recorder has not seen. It then stops and says that it is blind.
//
// # Tests
//
// Judge and the attribution have tables of hand-made histories, each with one thing wrong or nothing. Decoding is tested on what
// the API server's codecs write. One test has a real control plane, two Pods that write, a restart of etcd and a compaction.
package oracle

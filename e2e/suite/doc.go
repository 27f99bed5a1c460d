// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package suite tests shardctl as its users run it: replicas as processes of their own, each with a token bound to its Pod,
// on a real kube-apiserver and etcd.
//
// # How a test is made
//
// All tests share one control plane ([controlplane]); each has a namespace, a group and an API group for its types of its
// own, so that they may run side by side. Hooks are served by the test itself, which can have them answer anything; hooks
// that are programs are this test binary once more, asking the same server.
//
// What is asserted is what happened and in which order, not how fast it was: a busy machine is no bug. Deadlines bound waits
// only, and figures are logged. What must not happen too early is asserted to the nanosecond.
//
// # The oracle
//
// The API server's audit log has every request with who sent it, and every answer with the resourceVersion that etcd gave to
// the write. All types share one etcd, so these numbers put all writes, of objects and of Leases, in the one order in which
// they happened. A write is a non-holder's if the last Lease before it names another Pod. See journal_test.go.
//
// A replica whose log has a report of the race detector fails its test.
package suite

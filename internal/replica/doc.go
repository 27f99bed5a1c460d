// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package replica puts one replica of `shardctl run` together: the group, a
// Package replica puts one replica of `shardctl run` together: the group, a
// controller for every type that a decorator decorates, the roles without a
// type, the HTTP endpoint, and the local endpoint that tells who leads.
//
// It decides nothing: what a file means is internal/config's matter, what a
// decorator does internal/decorator's, a program internal/child's, whom a
// leadership is told internal/leadership's, and who holds what pkg/shard's. It is
// tested as a whole, as a process of its own, by the suite in the e2e module.
package replica

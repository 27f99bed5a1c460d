// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rbac knows what the replicas of `shardctl run` have to be allowed for a
// configuration, and puts it into the objects of Kubernetes RBAC.
//
// It is the one place that says so: `shardctl rbac` prints what [NewGrant] makes, a
// replica asks the API server at its start for what [Rules] lists, and the suite in
// the e2e module runs its replicas with nothing else.
//
// Invariants:
//
//   - Nothing that no request needs, no wildcard, and nothing for all namespaces that
//     one namespace is enough for.
//   - Every verb says what it is for, and one that is optional also what is lost
//     without it.
//   - The same configuration gives the same text, byte for byte.
//
// What every authenticated user may do (the roles system:basic-user and
// system:discovery) is not listed: replicas ask for API groups, for what they may do
// themselves, and for who they are.
//
// Golden files are the specification of what is printed. That it is enough, and that
// no verb of what is required can be left out, the suite in the e2e module shows on a
// real API server.
package rbac

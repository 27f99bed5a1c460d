// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package probe looks whether something is in order: an HTTP server, a TCP port, what a
// program says, or the Pod that this process runs in. What a replica is to hold can be made
// to depend on it: see [github.com/shardctl/shardctl/pkg/shard.Gate].
//
// A [Probe] looks once. It returns when its context does, it keeps nothing between two
// calls, and what it reads is bounded. How often to look, and how many failures matter, is
// for the caller to say.
//
// Probes answer as the kubelet's do, so that what serves as the readinessProbe of a container
// serves here: statuses 200 to 399 are success, each probe has a connection of its own, no
// proxy is asked, and a redirect to another host is not followed. Two things differ: a
// certificate is verified, and a program is killed together with all it has started.
//
// The tests use real servers and real processes, and a fake API server for the Pod.
package probe

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package deployed is the suite of tests against shardctl as deployed: Pods of the Deployment that manifests/overlays/example makes,
// in a cluster with a scheduler, kubelets and controllers. What the suite in package suite does to processes happens here as it does
// to users: Pods are deleted, killed, evicted, rolled out, scaled and cut off.
//
// [Run] has it all as subtests, on one installation, one after the other. All the time objects are being changed. Each test judges
// what it has caused itself: which shards changed hands, how (see [change]) and how often. In the end the whole history is judged by
// package oracle, which watches etcd from the beginning and reads the audit log: that no replica ever wrote what it did not hold, that
// epochs went up by one with each holder, and that every object is as its last change wants it.
//
// Nothing here is about time, but for limits that are far off and bound the waiting: the machines that this runs on are slow at times.
// How long things took is logged.
//
// Where the cluster comes from is not known here: see [Cluster], and packages kindcluster and localcluster.
package deployed

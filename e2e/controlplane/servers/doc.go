// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package servers is a module of its own that pins what e2e/controlplane builds and runs: kube-apiserver,
// kube-controller-manager and kube-scheduler (the tool directives of go.mod), etcd, and the reaper.
//
// It is apart from the e2e module because k8s.io/kubernetes needs its staging modules at exactly its own version, while
// shardctl uses a newer client-go. Nothing imports it.
//
// To move to another Kubernetes release, change the version of k8s.io/kubernetes and of every replacement (v1.36.3 goes
// with v0.36.3), then run go mod tidy. etcd has to be 3.6.9 or newer: earlier ones can serve stale reads.
package servers

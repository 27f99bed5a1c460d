// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controlplane starts a real Kubernetes control plane on the loopback interface: etcd, kube-apiserver, (unless
// switched off) kube-controller-manager and (on request) kube-scheduler, built from Go modules. Nothing is downloaded but Go
// modules, nothing has to be installed but Go, and there is no container and no kubelet: Pods are objects that nobody runs. (Package
// e2e/localcluster adds nodes that do.) It works on Unix.
//
//	cp := controlplane.Start(t, controlplane.Options{})        // in a test
//	cp, err := controlplane.New(ctx, controlplane.Options{})   // in a program; then cp.Stop()
//
// # Building
//
// [Build] compiles the servers once per version into the user's cache directory (SHARDCTL_CACHE overrides it). The first
// time that takes about 5 minutes on two cores, 300 MB there and more in Go's own caches. New and Start call it, so a run of
// tests with go test's own time-out of 10 minutes had better be preceded by the command with --build-only. What is built
// stands in the module in ./servers.
//
// [Kubectl] builds the kubectl of the same release, for who asks for it.
//
// A control plane is then ready within 2 to 3 s, and takes about 420 MB of memory.
//
// # What one gets
//
//   - RBAC, admission plugins, priority and fairness as in a default cluster; no anonymous access.
//   - Service accounts with bound tokens. [ControlPlane.NewReplica] makes a Pod object and a token that is bound to it, so
//     that the API server puts the Pod's name and UID into the user's extra fields, as for a Pod that a kubelet runs.
//   - TLS with certificates made for this one control plane, on ports that are reserved for its whole life, so that
//     [ControlPlane.RestartAPIServer], [ControlPlane.KillAPIServer] and [ControlPlane.RestartEtcd] come back at the same address.
//   - On request two API servers, of which either can be cut off from etcd; see Options.APIServers and
//     [ControlPlane.CutFromEtcd].
//   - On request an audit log, and all of etcd's history: nothing is compacted away, unless by [ControlPlane.Compact].
//   - The API servers' own Leases and endpoints are off: Leases are what is counted here.
//
// # Nothing is left behind
//
// [ControlPlane.Stop] ends the servers and removes their directory. Two things hold when nobody gets to call it:
//
//   - On Linux the kernel kills the servers when their parent dies (PR_SET_PDEATHSIG). It does so when the parent *thread*
//     ends; each server is therefore forked by a goroutine locked to a thread, which then waits for that server.
//   - A reaper process watches a pipe that only the parent holds. When the parent is gone it removes the directory, then
//     kills the process group that it leads and that the servers are in (elsewhere than on Linux that is what ends them).
//
// That covers SIGINT, SIGKILL, os.Exit, a panic in any goroutine and the time-out of go test. The tests of this package cause
// each of them, in a test and in the command, and look for processes and files afterwards. Logs stay only for those who ask
// for it: by Options.LogDir, by -artifacts for tests.
package controlplane

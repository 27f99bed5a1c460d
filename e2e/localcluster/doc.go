// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package localcluster is a Kubernetes cluster on this machine without a container runtime: the control plane of package
// controlplane with the real scheduler and the real controllers, and nodes that run Pods as processes.
//
//	c := localcluster.Start(t, localcluster.Options{Images: localcluster.BuildImages})        // in a test
//	c, err := localcluster.New(ctx, localcluster.Options{Images: localcluster.BuildImages})   // in a program; then c.Close()
//
// Manifests run as they are: `kubectl apply`, `rollout`, `logs`, `port-forward`, `drain` and `delete` work. It takes Linux and root,
// no docker and nothing to be installed, and is ready within 10 s. The command in e2e/cmd/localcluster keeps one up to be tried out.
//
// # What is real
//
//   - API server, etcd, kube-scheduler and kube-controller-manager, so also rollouts, disruption budgets, topology spread, taints and
//     eviction from nodes that do not answer.
//   - A container's view: mount, PID, UTS and IPC namespaces of its own, in which its image, its volumes and /dev/termination-log are
//     where its Pod wants them and nothing of this machine is; its user; a root directory that is read-only if that was asked for.
//   - The network: a namespace and an address for each Pod; a bridge for each node, with one link to all others. [Cluster.CutNode]
//     takes that link down, for the node's kubelet as for its Pods. The API server is at the address of the service "kubernetes".
//   - Volumes from ConfigMaps, Secrets, the downward API and tokens that are bound to the Pod, with a kubelet's atomic updates, as soon
//     as they change.
//   - Probes by HTTP and TCP, restarts, termination messages, init containers and sidecars, graceful deletion, Leases and status of
//     nodes.
//
// # What is not
//
//   - Limits: there are no cgroups, no seccomp and no capabilities to be dropped. Namespaces keep apart what gets along, not what means
//     harm.
//   - Services: nobody routes their addresses, and there is no name server. The API server's is the one exception.
//   - Probes and hooks that run a command, `kubectl exec`, volumes of other kinds, host namespaces. What a Pod cannot have, its status
//     says.
//   - Times: a container that ends again and again is started again after 1 to 10 s, not after 10 s to 5 minutes, and a node may be
//     silent for 10 s, not 50.
//   - Nodes are authorized by RBAC alone, and may read what runs on others.
//
// # Nothing is left behind
//
// Close ends everything. When nobody gets to call it, the kernel does most of it: a container is killed when the thread dies that
// started it, and with its first process all others; namespaces, with their links and mounts, go with the last process in them. None
// of them has a name, and nothing is changed in this machine's own. Files lie in the control plane's directory, which its reaper
// removes.
//
// # How it works
//
// A thread that is going to end anyway moves into namespaces, mounts what the container needs, and starts the container's process,
// which inherits all that: there is no program in between. The tests run a cluster and what one may expect of it, and the suite of
// package deployed with the real shardctl.
package localcluster

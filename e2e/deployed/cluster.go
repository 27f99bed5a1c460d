// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/e2e/oracle"
)

// Cluster is where the suite runs: one that is empty, has a scheduler, the controllers of Deployments, of PodDisruptionBudgets, of
// namespaces and of the nodes' life, and at least three nodes that take Pods. Containers get the environment, the volumes, the token
// and the probes that their Pod's spec asks for, and are restarted when they end.
//
// Whoever has made the cluster removes it. All methods may be called from several goroutines.
type Cluster interface {
	// Config returns a new configuration of a client that may do everything.
	Config() *rest.Config
	// KubeconfigPath is a file with the same permissions.
	KubeconfigPath() string

	// Image is what the container of the Deployment is to run, present on all nodes: nothing is pulled.
	Image() string
	// HookImage is what the hook beside it is to run: examples/decorator/hook.
	HookImage() string
	// SecondImage has another name than Image, so that it makes a new version; its program may be the same.
	SecondImage() string

	// KillProcess sends SIGKILL to the main process of the Pod's container shardctl, in its node. Nothing in the cluster is told:
	// that is left to the node's kubelet.
	KillProcess(ctx context.Context, pod *corev1.Pod) error
	// CutNode lets no packet come from or go to the node, but within itself, until heal is called; what runs there goes on. Heal
	// may be called again.
	CutNode(ctx context.Context, node string) (heal func(context.Context) error, err error)
	// Get asks the Pod at its port "http". Everything but 200 is an error.
	Get(ctx context.Context, pod *corev1.Pod, path string) ([]byte, error)

	// Etcd says how the oracle reaches the etcd of the cluster. Nothing of its history is compacted away before the oracle has had
	// a minute to connect.
	Etcd(ctx context.Context) (oracle.Options, error)
	// AuditLogs returns files of this machine with what the API servers have logged by now: at least all stages, with answers
	// (level RequestResponse), of all writes of ConfigMaps and of the group demo.shardctl.dev. They may be copies, made by this call.
	AuditLogs(ctx context.Context) ([]string, error)
	// Evidence writes into a directory, which exists, what helps to understand a failure: the logs of all containers there
	// were, of the nodes and the servers.
	Evidence(ctx context.Context, dir string) error
}

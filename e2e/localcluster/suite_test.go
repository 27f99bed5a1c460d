// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster_test

import (
	"context"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/deployed"
	"github.com/shardctl/shardctl/e2e/localcluster"
	"github.com/shardctl/shardctl/e2e/oracle"
)

// secondImage is the same program, as a new version.
const secondImage = "shardctl:next"

// TestDeployed is the suite of what the manifests deploy, on a cluster of this machine.
func TestDeployed(t *testing.T) {
	deployed.Run(t, deployedCluster{localcluster.Start(t, localcluster.Options{
		Images: func(ctx context.Context, dir string) (map[string]localcluster.Image, error) {
			images, err := localcluster.BuildImages(ctx, dir)
			if err == nil {
				images[secondImage] = images[localcluster.ShardctlImage]
			}
			return images, err
		},
		ControlPlane: controlplane.Options{Audit: controlplane.AuditRequestResponse, KeepHistory: true},
	})})
}

// deployedCluster is a local cluster in the suite's terms.
type deployedCluster struct{ *localcluster.Cluster }

var _ deployed.Cluster = deployedCluster{}

func (deployedCluster) Image() string { return localcluster.ShardctlImage }

func (deployedCluster) SecondImage() string { return secondImage }

func (deployedCluster) HookImage() string { return localcluster.ExampleHookImage }

func (c deployedCluster) KillProcess(_ context.Context, pod *corev1.Pod) error {
	return c.Cluster.KillProcess(pod, "shardctl")
}

func (c deployedCluster) CutNode(_ context.Context, node string) (func(context.Context) error, error) {
	return func(context.Context) error { return c.Cluster.CutNode(node, false) }, c.Cluster.CutNode(node, true)
}

func (c deployedCluster) Get(ctx context.Context, pod *corev1.Pod, path string) ([]byte, error) {
	return c.Cluster.Get(ctx, pod, "http", path)
}

func (c deployedCluster) Etcd(context.Context) (oracle.Options, error) {
	cp := c.ControlPlane()
	return oracle.Options{Endpoints: []string{cp.EtcdEndpoint()}, TLS: cp.EtcdTLS()}, nil
}

func (c deployedCluster) AuditLogs(context.Context) ([]string, error) {
	return c.ControlPlane().AuditLogPaths(), nil
}

func (c deployedCluster) Evidence(_ context.Context, dir string) error {
	return os.CopyFS(dir, os.DirFS(c.ControlPlane().LogDir()))
}

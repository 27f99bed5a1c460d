// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const serviceAccountController = "serviceaccount-controller"

// nodeGraceChecks is how often the node lifecycle controller looks while a node's grace period runs.
const nodeGraceChecks = 10

func (c *ControlPlane) startControllerManager(ctx context.Context) error {
	server, err := c.startServer(controllerManagerBinary, controllerManagerBinary, c.controllerManagerArgs())
	if err != nil {
		return err
	}
	c.controllerManager = server
	return c.await(ctx, c.controllerManager, c.probeControllerManager)
}

// probeControllerManager also looks for the one thing whose lack everybody would notice: no Pod can be created in a namespace
// without the service account that a controller puts there.
func (c *ControlPlane) probeControllerManager(ctx context.Context) error {
	if err := getOK(ctx, c.http, c.managerPort.url()+"/healthz"); err != nil {
		return err
	}
	if !slices.Contains(c.options.Controllers, serviceAccountController) {
		return nil
	}
	_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}

// controllerManagerArgs are the flags of the controller manager. Being alone it elects no leader.
func (c *ControlPlane) controllerManagerArgs() []string {
	serving := c.files.keyPair(controllerManagerBinary)
	args := []string{
		"--kubeconfig=" + c.files.kubeconfig(controllerManagerBinary),
		"--controllers=" + strings.Join(c.options.Controllers, ","),
		// Each controller acts as its own service account, as in a real cluster: rules for "the garbage collector" can be tested.
		"--use-service-account-credentials",
		"--service-account-private-key-file=" + c.files.serviceAccountKey(),
		"--root-ca-file=" + c.files.clusterAuthority(),
		"--leader-elect=false",
		"--bind-address=" + loopback,
		"--secure-port=" + c.managerPort.String(),
		"--tls-cert-file=" + serving.certificate,
		"--tls-private-key-file=" + serving.key,
		"--kube-api-qps=1000",
		"--kube-api-burst=1000",
	}
	if grace := c.options.NodeGracePeriod; grace > 0 {
		args = append(args, "--node-monitor-grace-period="+grace.String(), "--node-monitor-period="+(grace/nodeGraceChecks).String())
	}
	return args
}

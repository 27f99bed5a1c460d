// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import "context"

func (c *ControlPlane) startScheduler(ctx context.Context) error {
	server, err := c.startServer(schedulerBinary, schedulerBinary, c.schedulerArgs())
	if err != nil {
		return err
	}
	c.scheduler = server
	return c.await(ctx, c.scheduler, func(ctx context.Context) error {
		return getOK(ctx, c.http, c.schedulerPort.url()+"/readyz")
	})
}

// schedulerArgs are the flags of the scheduler; its profile is the default one. Being alone it elects no leader.
func (c *ControlPlane) schedulerArgs() []string {
	serving, kubeconfig := c.files.keyPair(schedulerBinary), c.files.kubeconfig(schedulerBinary)
	return []string{
		"--kubeconfig=" + kubeconfig,
		// Whether somebody may read its metrics is asked of the API server.
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		// What it would look up is about API servers that speak for others, which these are not told to.
		"--authentication-skip-lookup",
		"--leader-elect=false",
		"--bind-address=" + loopback,
		"--secure-port=" + c.schedulerPort.String(),
		"--tls-cert-file=" + serving.certificate,
		"--tls-private-key-file=" + serving.key,
		"--kube-api-qps=1000",
		"--kube-api-burst=1000",
	}
}

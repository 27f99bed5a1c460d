// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"os"
)

// issuer is the service account issuer, as most clusters have it.
const issuer = "https://kubernetes.default.svc.cluster.local"

func (c *ControlPlane) startAPIServer(ctx context.Context) error {
	if c.options.Audit != AuditNone {
		if err := os.WriteFile(c.files.auditPolicy(), auditPolicy(c.options.Audit), 0o600); err != nil {
			return fmt.Errorf("write audit policy: %w", err)
		}
	}
	server, err := c.startServer(apiServerBinary, c.apiServerArgs())
	if err != nil {
		return err
	}
	c.apiServer = server
	return c.awaitAPIServer(ctx)
}

// awaitAPIServer waits until the API server has created its RBAC rules, flow schemas and the like, and reaches etcd.
func (c *ControlPlane) awaitAPIServer(ctx context.Context) error {
	return c.await(ctx, c.apiServer, func(ctx context.Context) error {
		return getOK(ctx, c.http, c.apiPort.url()+"/readyz")
	})
}

// RestartAPIServer stops the API server as an upgrade does, requests in flight first, and starts it again at the same
// address. It returns when the API server is ready, after about 3 s. The audit log goes on, the metrics start from zero.
func (c *ControlPlane) RestartAPIServer(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.restart(ctx, c.apiServer.stop, c.startAPIServer)
}

// apiServerArgs are the flags of the API server. What is not here is as in a default cluster: admission plugins, priority and
// fairness, watch cache, feature gates.
func (c *ControlPlane) apiServerArgs() []string {
	serving, etcd := c.files.keyPair(apiServerBinary), c.files.keyPair(etcdClient)
	args := []string{
		"--bind-address=" + loopback,
		"--advertise-address=" + loopback,
		"--secure-port=" + c.apiPort.String(),
		"--tls-cert-file=" + serving.certificate,
		"--tls-private-key-file=" + serving.key,
		"--client-ca-file=" + c.files.clusterAuthority(),
		"--anonymous-auth=false",
		"--authorization-mode=RBAC",
		"--etcd-servers=" + c.etcdPort.url(),
		"--etcd-cafile=" + c.files.etcdAuthority(),
		"--etcd-certfile=" + etcd.certificate,
		"--etcd-keyfile=" + etcd.key,
		"--service-account-issuer=" + issuer,
		"--service-account-signing-key-file=" + c.files.serviceAccountKey(),
		"--service-account-key-file=" + c.files.serviceAccountKey(),
		"--service-cluster-ip-range=10.0.0.0/24",
		// The service "kubernetes" cannot have a loopback address, and nobody would use it.
		"--endpoint-reconciler-type=none",
		// Both are for several API servers. Without them this one has no Lease of its own, and whoever counts requests on
		// Leases counts those of the tests.
		"--feature-gates=APIServerIdentity=false,UnknownVersionInteroperabilityProxy=false",
		// Without this a restart waits for watches, which never end.
		"--shutdown-watch-termination-grace-period=1s",
	}
	if c.options.KeepHistory {
		args = append(args, "--etcd-compaction-interval=0")
	}
	if c.options.Audit != AuditNone {
		args = append(args,
			"--audit-policy-file="+c.files.auditPolicy(),
			"--audit-log-path="+c.files.auditLog(),
			"--audit-log-maxsize=0", // one file, however long
		)
	}
	return args
}

// auditPolicy logs every request at one level: when it has been answered, a watch also when it begins.
func auditPolicy(level AuditLevel) []byte {
	return []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: " + string(level) + "\n")
}

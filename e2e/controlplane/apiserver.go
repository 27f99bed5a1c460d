// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/shardctl/shardctl/e2e/netproxy"
)

// issuer is the service account issuer, as most clusters have it.
const issuer = "https://kubernetes.default.svc.cluster.local"

// ServiceIP is the cluster IP of the service "kubernetes" in the namespace "default", which is the first of its range. Nothing
// listens there unless the caller sees to it; the API servers' certificates are good for it.
const ServiceIP = "10.0.0.1"

// apiServer is one of the API servers. They have everything in common but what stands here.
type apiServer struct {
	name     string // of its certificate and its log
	port     *port
	auditLog string
	network  *netproxy.Proxy // to etcd; nil if nothing is between them
	cutOff   atomic.Bool     // by CutFromEtcd

	process *process // ControlPlane.mu guards it
}

// apiServerName is the program's name for the first one, so that a single one has no number.
func apiServerName(i int) string {
	if i == 0 {
		return apiServerBinary
	}
	return apiServerBinary + "-" + strconv.Itoa(i+1)
}

// startAPIServers lets them start side by side, as in a cluster that comes up.
func (c *ControlPlane) startAPIServers(ctx context.Context) error {
	if c.options.Audit != AuditNone {
		if err := os.WriteFile(c.files.auditPolicy(), auditPolicy(c.options.Audit), 0o600); err != nil {
			return fmt.Errorf("write audit policy: %w", err)
		}
	}
	for _, s := range c.apiServers {
		if err := c.launchAPIServer(s); err != nil {
			return err
		}
	}
	return c.awaitAPIServers(ctx)
}

func (c *ControlPlane) launchAPIServer(s *apiServer) (err error) {
	s.process, err = c.startServer(s.name, apiServerBinary, c.apiServerArgs(s))
	return err
}

func (c *ControlPlane) startAPIServer(ctx context.Context, s *apiServer) error {
	if err := c.launchAPIServer(s); err != nil {
		return err
	}
	return c.awaitAPIServer(ctx, s)
}

// awaitAPIServers waits for those that can become ready.
func (c *ControlPlane) awaitAPIServers(ctx context.Context) error {
	for _, s := range c.apiServers {
		if s.cutOff.Load() {
			continue
		}
		if err := c.awaitAPIServer(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// awaitAPIServer waits until the API server has created its RBAC rules, flow schemas and the like, and reaches etcd.
func (c *ControlPlane) awaitAPIServer(ctx context.Context, s *apiServer) error {
	return c.await(ctx, s.process, func(ctx context.Context) error {
		return getOK(ctx, c.http, s.port.url()+"/readyz")
	})
}

// RestartAPIServer stops the (first) API server as an upgrade does, requests in flight first, and starts it again at the same
// address. It returns when the API server is ready, after about 3 s. The audit log goes on, the metrics start from zero.
func (c *ControlPlane) RestartAPIServer(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.apiServers[0]
	return c.restart(ctx, s.process.stop, func(ctx context.Context) error { return c.startAPIServer(ctx, s) })
}

// KillAPIServer is like RestartAPIServer, but kills it, as a crash does: requests in flight may have been committed without an
// answer and without an entry in the audit log.
func (c *ControlPlane) KillAPIServer(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.apiServers[0]
	return c.restart(ctx, s.process.kill, func(ctx context.Context) error {
		if err := removePartialLine(s.auditLog); err != nil {
			return fmt.Errorf("audit log: %w", err)
		}
		return c.startAPIServer(ctx, s)
	})
}

// apiServerArgs are the flags of an API server. What is not here is as in a default cluster: admission plugins, priority and
// fairness, watch cache, feature gates.
func (c *ControlPlane) apiServerArgs(s *apiServer) []string {
	serving, etcd := c.files.keyPair(s.name), c.files.keyPair(etcdClient)
	kubelets := c.files.keyPair(kubeletClient)
	args := []string{
		"--bind-address=" + loopback,
		"--advertise-address=" + loopback,
		"--secure-port=" + s.port.String(),
		"--tls-cert-file=" + serving.certificate,
		"--tls-private-key-file=" + serving.key,
		"--client-ca-file=" + c.files.clusterAuthority(),
		"--anonymous-auth=false",
		"--authorization-mode=RBAC",
		// Nodes are on this machine, too, if there are any, and know the API server by a certificate.
		"--kubelet-preferred-address-types=ExternalIP",
		"--kubelet-client-certificate=" + kubelets.certificate,
		"--kubelet-client-key=" + kubelets.key,
		"--etcd-servers=" + c.etcdURLFor(s),
		"--etcd-cafile=" + c.files.etcdAuthority(),
		"--etcd-certfile=" + etcd.certificate,
		"--etcd-keyfile=" + etcd.key,
		"--service-account-issuer=" + issuer,
		"--service-account-signing-key-file=" + c.files.serviceAccountKey(),
		"--service-account-key-file=" + c.files.serviceAccountKey(),
		"--service-cluster-ip-range=10.0.0.0/24",
		// The service "kubernetes" cannot have a loopback address, and nobody would use it.
		"--endpoint-reconciler-type=none",
		// Both have API servers of different versions find each other by Leases. Without them none has a Lease of its own, and
		// whoever counts requests on Leases counts those of the tests.
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
			"--audit-log-path="+s.auditLog,
			"--audit-log-maxsize=0", // one file, however long
		)
	}
	return args
}

// auditPolicy logs every request at one level: when it comes in, when it has been answered, and a watch when it begins. An
// API server that is killed may have carried out what it only noted as received.
func auditPolicy(level AuditLevel) []byte {
	return []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: " + string(level) + "\n")
}

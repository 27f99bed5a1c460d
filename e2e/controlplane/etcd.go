// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
)

// hasty are etcd's flags for its first start. The only member elects itself, and needs no time for others to object: this saves
// up to a second.
//
// A restarted etcd has the time that it takes by default: if it calls the election while it is still about to apply its log, it
// can find that it has just compacted what it looks for, and panics (seen with etcd 3.6.16 on a busy machine, in raft's
// hasUnappliedConfChanges).
var hasty = []string{"--heartbeat-interval=10", "--election-timeout=100"}

func (c *ControlPlane) startEtcd(ctx context.Context, flags ...string) error {
	server, err := c.startServer(etcdBinary, etcdBinary, append(c.etcdArgs(), flags...))
	if err != nil {
		return err
	}
	c.etcd = server
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c.EtcdTLS(), DisableKeepAlives: true}}
	return c.await(ctx, c.etcd, func(ctx context.Context) error {
		return getOK(ctx, client, c.etcdPort.url()+"/readyz")
	})
}

// RestartEtcd kills etcd, as a crash does, and starts it again at the same address with its data: it loses nothing that it
// has acknowledged, since what it has written outlives the process. RestartEtcd returns when every API server that is not cut off is ready again.
// (Asked to stop, etcd would refuse clients for 7 s while it waits for the API server's watches, which never end.)
func (c *ControlPlane) RestartEtcd(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.restart(ctx, c.etcd.kill, func(ctx context.Context) error {
		if err := c.startEtcd(ctx); err != nil {
			return err
		}
		return c.awaitAPIServers(ctx)
	})
}

// EtcdEndpoint returns the URL of etcd, where the API server keeps an object at /registry/<resource>/<namespace>/<name>.
func (c *ControlPlane) EtcdEndpoint() string { return c.etcdPort.url() }

// EtcdTLS returns a new configuration of a client that etcd lets do everything.
func (c *ControlPlane) EtcdTLS() *tls.Config { return c.etcdTLS.Clone() }

// etcdArgs are the flags of a single etcd that is thrown away in the end, so nothing is flushed to the disk unless that is
// asked for.
func (c *ControlPlane) etcdArgs() []string {
	server := c.files.keyPair(etcdBinary)
	return []string{
		"--name=default",
		"--data-dir=" + filepath.Join(c.files.dir, "etcd"),
		fmt.Sprintf("--unsafe-no-fsync=%t", !c.options.Durable),
		"--log-level=warn",
		"--listen-client-urls=" + c.etcdPort.url(),
		"--advertise-client-urls=" + c.etcdPort.url(),
		"--client-cert-auth",
		"--trusted-ca-file=" + c.files.etcdAuthority(),
		"--cert-file=" + server.certificate,
		"--key-file=" + server.key,
		// There are no peers. Any port will do, since nobody is told which one it is.
		fmt.Sprintf("--listen-peer-urls=https://%s:0", loopback),
		"--peer-client-cert-auth",
		"--peer-trusted-ca-file=" + c.files.etcdAuthority(),
		"--peer-cert-file=" + server.certificate,
		"--peer-key-file=" + server.key,
	}
}

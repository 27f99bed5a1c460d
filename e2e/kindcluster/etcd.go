// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/shardctl/shardctl/e2e/oracle"
)

// Paths of kubeadm's in the node of the control plane.
const (
	etcdCAPath     = "/etc/kubernetes/pki/etcd/ca.crt"
	etcdClientPath = "/etc/kubernetes/pki/apiserver-etcd-client" // .crt and .key
)

// Etcd says how to reach etcd from this machine, with the API server's rights.
func (c *Cluster) Etcd(ctx context.Context) (oracle.Options, error) {
	options, err := c.etcd(ctx)
	if err != nil {
		return options, fmt.Errorf("reach the etcd of cluster %s: %w", c.options.Name, err)
	}
	return options, nil
}

func (c *Cluster) etcd(ctx context.Context) (o oracle.Options, err error) {
	node, err := c.controlPlane()
	if err != nil {
		return o, err
	}
	var files [3][]byte
	for i, path := range []string{etcdCAPath, etcdClientPath + ".crt", etcdClientPath + ".key"} {
		if files[i], err = run(ctx, node, "cat", path); err != nil {
			return o, err
		}
	}
	certificate, err := tls.X509KeyPair(files[1], files[2])
	if err != nil {
		return o, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(files[0]) {
		return o, errors.New(etcdCAPath + " has no certificate")
	}
	published, err := exec.CommandContext(ctx, "docker", "port", node.String(), strconv.Itoa(etcdPort)).Output()
	if err != nil {
		return o, fmt.Errorf("docker port: %w", err)
	}
	address, _, _ := strings.Cut(string(published), "\n")
	return oracle.Options{
		Endpoints: []string{"https://" + address},
		TLS:       &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}, ServerName: "localhost", MinVersion: tls.VersionTLS12},
	}, nil
}

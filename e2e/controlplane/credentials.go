// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"
)

// etcdClient names the certificate by which the API server, and whoever asks EtcdTLS, reaches etcd.
const etcdClient = "etcd-client"

// kubeletClient names the certificate by which the API server is known to kubelets, as KubeletClientUser.
const kubeletClient = "kubelet-client"

// KubeletClientUser is as whom the API server asks kubelets for logs and connections to Pods. They should let nobody else.
const KubeletClientUser = "kube-apiserver-kubelet-client"

// Users that the API server's own RBAC rules know.
const (
	adminUser             = "kubernetes-admin"
	adminGroup            = "system:masters"
	controllerManagerUser = "system:kube-controller-manager"
	schedulerUser         = "system:kube-scheduler"
)

// makeCredentials creates everything that anybody needs to trust or to be trusted.
func (c *ControlPlane) makeCredentials() error {
	if err := c.makeEtcdCredentials(); err != nil {
		return err
	}
	if err := c.makeClusterCredentials(); err != nil {
		return err
	}
	admin, err := c.ConfigForUser(adminUser, adminGroup)
	if err != nil {
		return err
	}
	c.admin = admin
	if err := c.WriteKubeconfig(c.KubeconfigPath(), admin); err != nil {
		return err
	}
	for server, user := range map[string]string{controllerManagerBinary: controllerManagerUser, schedulerBinary: schedulerUser} {
		config, err := c.ConfigForUser(user)
		if err != nil {
			return err
		}
		if err := c.WriteKubeconfig(c.files.kubeconfig(server), config); err != nil {
			return err
		}
	}
	return c.makeClient()
}

func (c *ControlPlane) makeEtcdCredentials() error {
	authority, err := newAuthority("etcd-ca")
	if err != nil {
		return err
	}
	server, err := authority.issueServer(etcdBinary)
	if err != nil {
		return err
	}
	client, err := authority.issueClient(etcdClient, nil)
	if err != nil {
		return err
	}
	if err := c.files.writeKeyPair(etcdBinary, server); err != nil {
		return err
	}
	if err := c.files.writeKeyPair(etcdClient, client); err != nil {
		return err
	}
	certificate, err := tls.X509KeyPair(client.certificate, client.key)
	if err != nil {
		return fmt.Errorf("etcd's client certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority.certificate)
	c.etcdTLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{certificate}}
	return writeSecret(c.files.etcdAuthority(), authority.encoded)
}

func (c *ControlPlane) makeClusterCredentials() error {
	authority, err := newAuthority("cluster-ca")
	if err != nil {
		return err
	}
	c.authority = authority
	servers := []string{controllerManagerBinary, schedulerBinary}
	for _, s := range c.apiServers {
		servers = append(servers, s.name)
	}
	for _, server := range servers {
		serving, err := authority.issueServer(server)
		if err != nil {
			return err
		}
		if err := c.files.writeKeyPair(server, serving); err != nil {
			return err
		}
	}
	asking, err := authority.issueClient(KubeletClientUser, nil)
	if err != nil {
		return err
	}
	if err := c.files.writeKeyPair(kubeletClient, asking); err != nil {
		return err
	}
	signing, err := newKey()
	if err != nil {
		return err
	}
	encoded, err := keyutil.MarshalPrivateKeyToPEM(signing)
	if err != nil {
		return fmt.Errorf("encode the service accounts' key: %w", err)
	}
	if err := writeSecret(c.files.serviceAccountKey(), encoded); err != nil {
		return err
	}
	return writeSecret(c.files.clusterAuthority(), authority.encoded)
}

// makeClient builds the client for this package's own requests, on connections of its own that Stop can close.
func (c *ControlPlane) makeClient() error {
	trust, err := rest.TLSConfigFor(c.admin)
	if err != nil {
		return fmt.Errorf("admin client: %w", err)
	}
	c.http = &http.Client{Transport: &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}}
	c.client, err = kubernetes.NewForConfigAndClient(c.admin, c.http)
	if err != nil {
		return fmt.Errorf("admin client: %w", err)
	}
	return nil
}

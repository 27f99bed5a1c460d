// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	adminKubeconfig   = "admin"
	unlimitedRequests = -1 // the QPS of a rest.Config that stands for no client-side limit
)

// Config returns a new configuration of a client that may do everything, without a client-side request limit.
func (c *ControlPlane) Config() *rest.Config { return rest.CopyConfig(c.admin) }

// ConfigForUser returns the configuration of a client whose certificate says that it is this user and in these groups (and
// system:authenticated). It may do what RBAC grants them. The certificate is valid for a year.
func (c *ControlPlane) ConfigForUser(user string, groups ...string) (*rest.Config, error) {
	pair, err := c.authority.issueClient(user, groups)
	if err != nil {
		return nil, fmt.Errorf("configuration for user %s: %w", user, err)
	}
	config := c.anonymousConfig(0)
	config.CertData, config.KeyData = pair.certificate, pair.key
	return config, nil
}

// SecondConfig is like Config, for the second API server; nil if there is none.
func (c *ControlPlane) SecondConfig() *rest.Config {
	if len(c.apiServers) < 2 {
		return nil
	}
	config := c.Config()
	config.Host = c.apiServers[1].port.url()
	return config
}

// ConfigForToken returns the configuration of a client that sends this bearer token.
func (c *ControlPlane) ConfigForToken(token string) *rest.Config { return c.ConfigForTokenAt(0, token) }

// ConfigForTokenAt is like ConfigForToken, for an API server that is not necessarily the first, which is 0.
func (c *ControlPlane) ConfigForTokenAt(i int, token string) *rest.Config {
	config := c.anonymousConfig(i)
	config.BearerToken = token
	return config
}

func (c *ControlPlane) anonymousConfig(i int) *rest.Config {
	return &rest.Config{
		Host:            c.apiServers[i].port.url(),
		QPS:             unlimitedRequests,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.authority.encoded},
	}
}

// KubeconfigPath returns the path of the kubeconfig file that goes with Config. It is removed by Stop.
func (c *ControlPlane) KubeconfigPath() string { return c.files.kubeconfig(adminKubeconfig) }

// WriteKubeconfig writes a file for kubectl and the like that holds all that the configuration holds: the address, whom to
// trust, and the client's certificate or token. An existing file is replaced; only the owner can read the new one.
func (c *ControlPlane) WriteKubeconfig(path string, config *rest.Config) error {
	const name = "controlplane"
	file := clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{name: {
			Server:                   config.Host,
			CertificateAuthorityData: config.CAData,
		}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			ClientCertificateData: config.CertData,
			ClientKeyData:         config.KeyData,
			Token:                 config.BearerToken,
		}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}
	if err := clientcmd.WriteToFile(file, path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/netproxy"
)

// Networked is a control plane that each replica reaches by a network of its own, which can be disturbed. Whatever else there
// is reaches it directly.
type Networked struct {
	*controlplane.ControlPlane

	mu       sync.Mutex // guards networks
	networks map[string]*netproxy.Proxy
}

// Networks puts networks between a control plane and the replicas that a fleet launches there. The caller has to call Close.
func Networks(cp *controlplane.ControlPlane) *Networked {
	return &Networked{ControlPlane: cp, networks: map[string]*netproxy.Proxy{}}
}

// Network returns that of the replicas which were launched under this name, in whatever namespace; nil if there is none.
func (n *Networked) Network(name string) *netproxy.Proxy {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.networks[name]
}

// NewReplica is that of the control plane, with a network.
func (n *Networked) NewReplica(ctx context.Context, options controlplane.ReplicaOptions) (*controlplane.Replica, error) {
	replica, err := n.ControlPlane.NewReplica(ctx, options)
	if err != nil {
		return nil, err
	}
	server, err := url.Parse(replica.Config.Host)
	if err != nil {
		return nil, fmt.Errorf("network of replica %s: %w", options.Name, err)
	}
	network, err := netproxy.Start(server.Host)
	if err != nil {
		return nil, fmt.Errorf("network of replica %s: %w", options.Name, err)
	}
	n.mu.Lock()
	n.networks[options.Name] = network
	n.mu.Unlock()
	through := rest.CopyConfig(replica.Config) // with the loopback address too, for which the API server has a certificate
	through.Host = "https://" + network.Addr()
	return replica, n.WriteKubeconfig(replica.Kubeconfig, through)
}

// Close ends the networks.
func (n *Networked) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, network := range n.networks {
		errs = append(errs, network.Close())
	}
	return errors.Join(errs...)
}

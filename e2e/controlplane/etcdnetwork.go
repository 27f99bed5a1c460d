// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"net"

	"github.com/shardctl/shardctl/e2e/netproxy"
)

var errNoNetwork = errors.New("nothing is between API server and etcd: set Options.EtcdProxy, or Options.APIServers to 2")

// layNetworks puts a network that can be disturbed between etcd and each API server, if that was asked for.
func (c *ControlPlane) layNetworks() error {
	if !c.options.EtcdProxy && len(c.apiServers) == 1 {
		return nil
	}
	for _, s := range c.apiServers {
		network, err := netproxy.Start(net.JoinHostPort(loopback, c.etcdPort.String()))
		if err != nil {
			return err
		}
		s.network = network
	}
	return nil
}

func (c *ControlPlane) etcdURLFor(s *apiServer) string {
	if s.network == nil {
		return c.etcdPort.url()
	}
	return "https://" + s.network.Addr()
}

// CutFromEtcd has nothing pass between an API server (0 is the first) and etcd any more, or ends that. No connection is closed,
// which is the harder case: the API server does not notice at first. It goes on answering from its watch caches what may be
// answered from there, and its watches fall silent. Its writes hang; those whose clients are still waiting are committed when
// the cut ends. (EtcdProxy has other cases: connections that are cut or refused, answers of etcd that are held up alone, so that
// writes are committed and reported as failed.)
//
// An API server that is cut off cannot be started: RestartEtcd does not wait for it, but RestartAPIServer and KillAPIServer do,
// in vain. The controllers know the first API server only.
func (c *ControlPlane) CutFromEtcd(i int, cut bool) error {
	s := c.apiServers[i]
	if s.network == nil {
		return errNoNetwork
	}
	s.cutOff.Store(cut)
	s.network.Hold(cut, cut)
	return nil
}

// EtcdProxy returns the network between an API server (0 is the first) and etcd, for other disturbances than CutFromEtcd; nil
// unless Options.EtcdProxy asked for it or there are two API servers.
func (c *ControlPlane) EtcdProxy(i int) *netproxy.Proxy { return c.apiServers[i].network }

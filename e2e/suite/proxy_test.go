// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"net/url"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/e2e/netproxy"
)

// startProxy returns a network between a client and the API server that can be disturbed, and the configuration of a client
// that goes through it.
func startProxy(t *testing.T, config *rest.Config) (*netproxy.Proxy, *rest.Config) {
	t.Helper()
	server, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	p, err := netproxy.Start(server.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	through := rest.CopyConfig(config) // with the loopback address too, for which the API server has a certificate
	through.Host = "https://" + p.Addr()
	return p, through
}

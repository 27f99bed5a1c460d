// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import (
	"context"
	"net"
	"sync"
)

// link is one connection through the proxy.
type link struct {
	proxy  *Proxy
	cancel context.CancelFunc
	client net.Conn

	// The proxy's mutex guards these.
	server net.Conn // nil until it is connected
	held   holds
}

// carry lasts until both directions have come to their end, or until the link is cut.
func (l *link) carry(ctx context.Context) {
	server := l.connect(ctx)
	if server == nil {
		return
	}
	directions := []*direction{
		newDirection(l, up, l.client, server),
		newDirection(l, down, server, l.client),
	}
	var running sync.WaitGroup
	for _, d := range directions {
		running.Go(func() { d.receive(ctx) })
		running.Go(func() { d.send(ctx) })
	}
	running.Wait()
}

// connect returns nil if there is no server, or if the link has been cut by now.
func (l *link) connect(ctx context.Context) net.Conn {
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(ctx, "tcp", l.proxy.target)
	if err != nil {
		return nil // the client notices: its connection is closed
	}
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	if ctx.Err() != nil {
		_ = server.Close()
		return nil
	}
	l.server = server
	return server
}

// cut ends the link. The proxy's mutex is held.
func (l *link) cut() {
	l.cancel()
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
}

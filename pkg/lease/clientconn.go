// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync"
)

// connection is the one that a request was sent on. Of one that a network has
// forgotten, nothing is heard for many minutes, and HTTP/2 puts all requests on
// one connection: so whoever gets no answer in time closes it, and the next
// request makes a new one. Whatever else is under way on it, such as the watch,
// ends as well: it would have waited in vain. Others are left alone.
type connection struct {
	mu   sync.Mutex
	conn net.Conn
}

// withConnection returns a context for one request, and what becomes the
// connection that this request is sent on.
func withConnection(ctx context.Context) (context.Context, *connection) {
	c := &connection{}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: c.got}), c
}

func (c *connection) got(info httptrace.GotConnInfo) {
	conn := info.Conn
	// Without the farewell of TLS, which could block on a dead connection.
	if encrypted, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = encrypted.NetConn()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
}

// close closes the connection, if the request got as far as having one.
func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close() // it may be closed already
	}
}

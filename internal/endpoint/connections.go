// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"net"
	"net/http"
	"sync"
)

// connections bounds how many there are. A new one above the limit takes the place of one
// that is idle, so that nobody keeps probes out by connecting and keeping still; if all
// are busy, it is closed.
type connections struct {
	limit int

	mu   sync.Mutex
	idle map[net.Conn]bool // all that are open
}

// changed is an [http.Server.ConnState].
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(c.idle) >= c.limit && !c.makeRoom() {
			_ = conn.Close() // its StateClosed follows
			return
		}
		c.idle[conn] = false
	case http.StateActive, http.StateIdle:
		if _, counted := c.idle[conn]; counted {
			c.idle[conn] = state == http.StateIdle
		}
	case http.StateHijacked, http.StateClosed:
		delete(c.idle, conn)
	}
}

// makeRoom closes a connection that is idle, if there is one.
func (c *connections) makeRoom() bool {
	for conn, idle := range c.idle {
		if idle {
			_ = conn.Close()
			delete(c.idle, conn)
			return true
		}
	}
	return false
}

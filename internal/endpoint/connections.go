// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"net"
	"net/http"
	"sync"
)

// connections bounds how many there are. A new one above the limit takes the place of one
// that is idle, or has not said anything yet, else of the oldest: a probe is answered
// within milliseconds, so nobody keeps probes out by holding on to connections.
type connections struct {
	limit int

	mu   sync.Mutex
	next uint64
	open map[net.Conn]connection
}

type connection struct {
	number uint64 // in the order in which they came
	busy   bool   // a request is being served
}

// changed is an [http.Server.ConnState].
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(c.open) >= c.limit {
			c.makeRoom()
		}
		c.next++
		c.open[conn] = connection{number: c.next}
	case http.StateActive, http.StateIdle:
		if one, counted := c.open[conn]; counted {
			one.busy = state == http.StateActive
			c.open[conn] = one
		}
	case http.StateHijacked, http.StateClosed:
		delete(c.open, conn)
	}
}

// makeRoom closes the oldest connection of those that are not busy, or else of all.
func (c *connections) makeRoom() {
	var oldest net.Conn
	for conn, one := range c.open {
		if oldest == nil || c.open[oldest].busy && !one.busy || c.open[oldest].busy == one.busy && one.number < c.open[oldest].number {
			oldest = conn
		}
	}
	delete(c.open, oldest)
	_ = oldest.Close()
}

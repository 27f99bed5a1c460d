// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import (
	"bytes"
	"context"
	"net"
	"time"
)

// What a direction may have received and not sent is the product of these, and what its sockets hold.
const (
	chunkSize   = 16 << 10
	queueLength = 64
)

// direction carries the bytes of a link one way.
type direction struct {
	link     *link
	way      way
	from, to net.Conn
	queue    chan chunk
}

// chunk is what was read at once. The last one may be empty: it stands for the end of the stream.
type chunk struct {
	data []byte
	read time.Time
	last bool
}

func newDirection(l *link, w way, from, to net.Conn) *direction {
	return &direction{link: l, way: w, from: from, to: to, queue: make(chan chunk, queueLength)}
}

// receive fills the queue until the stream ends. A connection that was reset has ended, too.
func (d *direction) receive(ctx context.Context) {
	buffer := make([]byte, chunkSize)
	for {
		n, err := d.from.Read(buffer)
		c := chunk{data: bytes.Clone(buffer[:n]), read: time.Now(), last: err != nil}
		select {
		case d.queue <- c:
		case <-ctx.Done():
			return
		}
		if c.last {
			return
		}
	}
}

// send empties the queue, each chunk when it may pass. When its receiver has gone it throws chunks away and goes on: only the
// end of the stream ends it, so that the sender is never stuck.
func (d *direction) send(ctx context.Context) {
	for gone := false; ; {
		var c chunk
		select {
		case c = <-d.queue:
		case <-ctx.Done():
			return
		}
		switch d.await(ctx, c.read) {
		case over:
			return
		case lost:
		case passes:
			gone = gone || !d.write(c)
		}
		if c.last {
			return
		}
	}
}

// fate is what becomes of a chunk.
type fate int

const (
	passes fate = iota
	lost
	over // the link has been cut
)

// await waits until it is certain what becomes of a chunk that was read at this time.
func (d *direction) await(ctx context.Context, read time.Time) fate {
	for {
		w := d.link.proxy.weather(d.link, d.way)
		rest := time.Until(read.Add(w.delay))
		var due <-chan time.Time
		switch {
		case ctx.Err() != nil:
			return over
		case w.swallowing:
			return lost
		case w.held:
		case rest <= 0:
			return passes
		default:
			due = time.After(rest)
		}
		select {
		case <-w.changed:
		case <-due:
		case <-ctx.Done():
			return over
		}
	}
}

// write returns false if nobody reads any more.
func (d *direction) write(c chunk) bool {
	if _, err := d.to.Write(c.data); err != nil {
		return false
	}
	if end, ok := d.to.(interface{ CloseWrite() error }); c.last && ok {
		return end.CloseWrite() == nil
	}
	return true
}

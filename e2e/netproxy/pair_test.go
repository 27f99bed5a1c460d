// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

const (
	patience = 10 * time.Second // for what has to happen
	silence  = 30 * time.Millisecond
)

// network is a proxy and the server behind it, which hands out its ends of the connections.
type network struct {
	*Proxy
	server net.Listener
}

func startNetwork(t *testing.T) network {
	t.Helper()
	server, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	p, err := Start(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return network{Proxy: p, server: server}
}

// end is one end of a connection through the proxy.
type end struct {
	*net.TCPConn
	t *testing.T
}

func newEnd(t *testing.T, conn net.Conn) end {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	return end{TCPConn: conn.(*net.TCPConn), t: t}
}

func (n network) dial(t *testing.T) end {
	t.Helper()
	conn, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return newEnd(t, conn)
}

// connect returns both ends of a new connection.
func (n network) connect(t *testing.T) (client, server end) {
	t.Helper()
	client = n.dial(t)
	if err := n.server.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	conn, err := n.server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, newEnd(t, conn)
}

func (e end) send(text string) {
	e.t.Helper()
	if _, err := e.Write([]byte(text)); err != nil {
		e.t.Fatal(err)
	}
}

func (e end) deadline(after time.Duration) {
	e.t.Helper()
	if err := e.SetReadDeadline(time.Now().Add(after)); err != nil {
		e.t.Fatal(err)
	}
}

func (e end) expect(text string) {
	e.t.Helper()
	e.deadline(patience)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(e, got); err != nil || string(got) != text {
		e.t.Fatalf("%q arrived, error %v; want %q", got, err, text)
	}
}

// expectSilence looks for a moment whether anything arrives, be it the end.
func (e end) expectSilence() {
	e.t.Helper()
	e.deadline(silence)
	var b [1]byte
	if n, err := e.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		e.t.Fatalf("%d bytes arrived, error %v; want nothing", n, err)
	}
}

// expectEnd wants the end of the stream, orderly or not, and nothing before it.
func (e end) expectEnd() {
	e.t.Helper()
	e.deadline(patience)
	var b [1]byte
	if n, err := e.Read(b[:]); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		e.t.Fatalf("%d bytes arrived, error %v; want the end of the connection", n, err)
	}
}

// exchange shows that a connection works in both directions.
func exchange(t *testing.T, client, server end) {
	t.Helper()
	client.send("request")
	server.expect("request")
	server.send("answer")
	client.expect("answer")
}

// exchange shows that a new connection works.
func (n network) exchange(t *testing.T) {
	t.Helper()
	client, server := n.connect(t)
	exchange(t, client, server)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between a client and the endpoint, and does harm to connections.
type proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	open   map[net.Conn]bool
	frozen bool
	tasks  sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target, open: map[net.Conn]bool{}}
	p.tasks.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
		p.tasks.Wait()
	})
	return p
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.open[client], p.open[server] = true, true
		p.mu.Unlock()
		p.tasks.Go(func() { p.copy(server, client) })
		p.tasks.Go(func() { p.copy(client, server) })
	}
}

// copy hands on what comes, and the end of it.
func (p *proxy) copy(to, from net.Conn) {
	_, _ = io.Copy(valve{to, p}, from)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range []net.Conn{to, from} {
		delete(p.open, conn)
		_ = conn.Close()
	}
}

// valve lets nothing through while the proxy is frozen.
type valve struct {
	net.Conn

	p *proxy
}

func (v valve) Write(b []byte) (int, error) {
	v.p.mu.Lock()
	frozen := v.p.frozen
	v.p.mu.Unlock()
	if frozen {
		return len(b), nil
	}
	return v.Conn.Write(b)
}

// cut closes what is open.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		_ = conn.Close()
	}
}

// freeze leaves connections open, on which nothing comes any more.
func (p *proxy) freeze(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = on
}

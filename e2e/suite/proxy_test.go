// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// proxy is a network between a client and the API server that can be disturbed. It does not look at what it carries.
type proxy struct {
	listener net.Listener
	server   string // address of the API server
	wg       sync.WaitGroup

	mu      sync.Mutex
	links   []*link
	stalled bool // new connections carry nothing either
	stopped bool
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	// up and down are open while the direction carries: to the server, to the client.
	up, down *gate
}

// startProxy returns a proxy and the configuration of a client that goes through it.
func startProxy(t *testing.T, config *rest.Config) (*proxy, *rest.Config) {
	t.Helper()
	server, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server.Host}
	p.wg.Go(p.accept)
	t.Cleanup(p.stop)
	through := rest.CopyConfig(config) // with the loopback address too, for which the API server has a certificate
	through.Host = "https://" + listener.Addr().String()
	return p, through
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // stop has closed it
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.carry(&link{client: client, server: server, up: newGate(), down: newGate()})
	}
}

func (p *proxy) carry(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		l.close()
		return
	}
	p.links = append(p.links, l)
	if p.stalled {
		l.up.shut()
		l.down.shut()
	}
	pump := func(to, from net.Conn, g *gate) {
		defer l.close()
		_, _ = io.Copy(gatedWriter{to, g}, from)
	}
	p.wg.Go(func() { pump(l.server, l.client, l.up) })
	p.wg.Go(func() { pump(l.client, l.server, l.down) })
}

// cut closes all connections there are, as a load balancer that restarts does.
func (p *proxy) cut() {
	p.each(func(l *link) { l.close() })
}

// hang has all connections that there are carry nothing any more, without closing them. New ones work.
func (p *proxy) hang() {
	p.each(func(l *link) {
		l.up.shut()
		l.down.shut()
	})
}

// mute has all connections that there are carry requests, but no answers. New ones work.
func (p *proxy) mute() {
	p.each(func(l *link) { l.down.shut() })
}

// stall has all connections, new ones too, carry nothing until flow.
func (p *proxy) stall() {
	p.mu.Lock()
	p.stalled = true
	p.mu.Unlock()
	p.hang()
}

// flow ends every disturbance. What was held up arrives now, however long ago its sender has given up.
func (p *proxy) flow() {
	p.mu.Lock()
	p.stalled = false
	p.mu.Unlock()
	p.each(func(l *link) {
		l.up.open()
		l.down.open()
	})
}

// opened is how many connections there ever were.
func (p *proxy) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *proxy) each(do func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		do(l)
	}
}

func (p *proxy) stop() {
	p.listener.Close()
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.cut()
	p.wg.Wait()
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
	l.up.open()
	l.down.open()
}

// gate holds up whoever passes while it is shut.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // closed while the gate is open
}

func newGate() *gate {
	g := &gate{opened: make(chan struct{})}
	close(g.opened)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
		g.opened = make(chan struct{})
	default:
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	<-opened
}

type gatedWriter struct {
	net.Conn
	gate *gate
}

func (w gatedWriter) Write(b []byte) (int, error) {
	w.gate.pass()
	return w.Conn.Write(b)
}

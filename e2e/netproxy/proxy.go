// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	loopback = "127.0.0.1:0"
	// dialTimeout limits the wait for a server that does not even accept connections.
	dialTimeout = 10 * time.Second
	// maxLinks limits what clients can pile up that try again and again while everything is held up.
	maxLinks = 1024
)

// Proxy is a network that can be disturbed. Its methods may be called from several goroutines; disturbances add up until Heal.
type Proxy struct {
	listener net.Listener
	target   string
	end      context.CancelFunc
	running  sync.WaitGroup
	// acceptErr is why no more connections were accepted, if not for Close. It is read when nothing is running any more.
	acceptErr error

	mu     sync.Mutex // guards what follows, and what links say is guarded by it
	links  map[*link]struct{}
	opened int
	closed bool

	refusing   bool
	swallowing bool
	held       holds
	delay      time.Duration
	changed    chan struct{} // closed, and replaced, whenever one of these four or a link's own holds have changed
}

// Start returns a proxy, on a free port of the loopback address, for the server at this address (host:port), which need not be
// there yet. The caller has to call Close.
func Start(target string) (*Proxy, error) {
	if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, fmt.Errorf("network proxy: target %q: %w", target, err)
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", loopback)
	if err != nil {
		return nil, fmt.Errorf("network proxy for %s: %w", target, err)
	}
	return On(listener, target), nil
}

// On is like Start, for a listener of the caller's, which the proxy closes.
func On(listener net.Listener, target string) *Proxy {
	ctx, end := context.WithCancel(context.Background())
	p := &Proxy{
		listener: listener, target: target, end: end,
		links: map[*link]struct{}{}, changed: make(chan struct{}),
	}
	p.running.Go(func() { p.acceptErr = p.accept(ctx) })
	return p
}

// Addr returns the address (host:port) for clients.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Opened returns how many connections there have been, without those that were refused.
func (p *Proxy) Opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Close closes all connections and waits until nothing of the proxy is left. Its error says why it had stopped accepting
// connections before. A second call does nothing.
func (p *Proxy) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	var err error
	if first {
		err = p.listener.Close()
	}
	p.end()
	p.Cut()
	p.running.Wait()
	if !first {
		return nil
	}
	if err := errors.Join(p.acceptErr, err); err != nil {
		return fmt.Errorf("network proxy for %s: %w", p.target, err)
	}
	return nil
}

func (p *Proxy) accept(ctx context.Context) error {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		p.open(ctx, client)
	}
}

// open makes a link of a connection, or closes it.
func (p *Proxy) open(ctx context.Context, client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.refusing || len(p.links) == maxLinks {
		_ = client.Close()
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &link{proxy: p, cancel: cancel, client: client}
	p.links[l] = struct{}{}
	p.opened++
	p.running.Go(func() {
		l.carry(ctx)
		p.remove(l)
	})
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.cut()
	delete(p.links, l)
}

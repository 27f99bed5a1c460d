// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import "time"

// way is a direction through the proxy.
type way int

const (
	up   way = iota // from the client to the server
	down            // from the server to the client
)

// holds says which ways carry nothing.
type holds [2]bool

// Cut closes all connections, as a load balancer does that restarts. What they had not carried yet is lost.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAll()
}

func (p *Proxy) cutAll() {
	for l := range p.links {
		l.cut()
	}
}

// Refuse has new connections closed at once, or no longer. It leaves alone those that there are.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refuse
}

// Hold has all connections, new ones too, carry nothing up (to the server) or down (to the client) without closing them, as
// when packets are dropped. It replaces what an earlier Hold has said.
func (p *Proxy) Hold(up, down bool) {
	p.change(func() { p.held = holds{up, down} })
}

// HoldExisting is like Hold, but for the connections that there are: new ones work, as behind a firewall that has forgotten
// about old ones.
func (p *Proxy) HoldExisting(up, down bool) {
	p.change(func() { p.holdLinks(holds{up, down}) })
}

func (p *Proxy) holdLinks(held holds) {
	for l := range p.links {
		l.held = held
	}
}

// Delay has all bytes, also those of new connections, arrive this much later, in each direction: a round trip takes twice as
// much. Zero ends it, and what is under way then arrives at once. At most 1 MiB is under way per direction, which limits the
// throughput.
func (p *Proxy) Delay(delay time.Duration) {
	p.change(func() { p.delay = delay })
}

// Swallow has requests arrive, but throws all answers away, until Heal. Connections that were there in the meantime are of no
// use any more: Heal closes them. So a client never learns what has become of its request, and finds out that something is
// wrong by its own time-out or at the Heal.
func (p *Proxy) Swallow() {
	p.change(func() { p.swallowing = true })
}

// Heal ends all disturbances. What was held up or delayed arrives now.
func (p *Proxy) Heal() {
	p.change(func() {
		if p.swallowing {
			p.cutAll()
		}
		p.refusing, p.swallowing, p.held, p.delay = false, false, holds{}, 0
		p.holdLinks(holds{})
	})
}

// change lets every direction look again at what it may do.
func (p *Proxy) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
	close(p.changed)
	p.changed = make(chan struct{})
}

// weather is what there is for a direction to know.
type weather struct {
	swallowing, held bool
	delay            time.Duration
	changed          <-chan struct{} // closed when it has changed
}

func (p *Proxy) weather(l *link, w way) weather {
	p.mu.Lock()
	defer p.mu.Unlock()
	return weather{
		swallowing: p.swallowing && w == down,
		held:       p.held[w] || l.held[w],
		delay:      p.delay,
		changed:    p.changed,
	}
}

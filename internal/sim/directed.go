// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strings"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// shareDirected of the histories follow a plan: random ones hardly ever meet
// some corners, such as a take-over at the very moment of a renewal.
const shareDirected = 0.1

// template is the plan of a directed history. Its parameters are random, and so
// is what the network takes.
type template struct {
	name string
	run  func(*director)
}

var templates = []template{
	{"slow heartbeat, then partition", (*director).slowHeartbeat},
	{"long pause around the end of the validity", (*director).longPause},
	{"paused between deciding and doing", (*director).pausedInStep},
	{"take-over at the moment of a renewal", (*director).lateRenewal},
	{"transfer of unknown outcome", (*director).unknownTransfer},
	{"claim of unknown outcome", (*director).unknownClaim},
	{"shard's Lease deleted behind its holder's back", (*director).deletedShard},
	{"shard's Lease restored behind its holder's back", (*director).restoredShard},
	{"layout record deleted, and a shard's Lease with it", (*director).deletedLayout},
	{"member's Lease deleted", (*director).deletedMember},
	{"record made anew by a late request", (*director).lateRecord},
	{"restart in the Pod while a renewal is under way", (*director).restartedInPod},
	{"stale list after a reconnect", (*director).staleReconnect},
	{"one replica sees nothing while another is silent", (*director).blindWitness},
	{"work of a lapsed term goes on", (*director).lapsedWork},
	{"one Lease is not renewed", (*director).unrenewed},
	{"outage of the API server", (*director).outage},
	{"crash", (*director).crash},
	{"known death", (*director).knownDeath},
	{"hand-over", (*director).handOver},
	{"foreign elector contends", (*director).foreignContends},
}

// director carries out a template.
type director struct {
	*chaos
	h *History
}

// newDirected makes a history that follows a template. The network is quick and
// reliable; clocks are often as far apart as R8 allows.
func newDirected(w *World, c *chaos) *History {
	h := &History{World: w, chaos: c, template: &templates[c.rng.IntN(len(templates))]}
	if extra := w.source(reluctanceSource); extra.chance(shareDirectedReluctant) {
		h.template = &reluctantTemplate
	}
	w.Faults = Calm
	ms := func(most int) Span { return Span{0, time.Duration(1+c.rng.IntN(most)) * time.Millisecond} }
	w.Faults.Request, w.Faults.Reply, w.Faults.WatchDelay, w.Faults.TimerSlack = ms(5), ms(5), ms(5), ms(5)
	w.Faults.WorkReturns = ms(300)
	c.deaths = 0
	c.slowest, c.fastest = 1000, 1000
	if w.Checks.beyond = false; c.chance(0.6) {
		c.slowest = 600 + c.rng.Int64N(400)
		c.fastest = int64(float64(c.slowest)*c.bound()) - 1
	}
	return h
}

// settle starts replicas and waits until they share all shards, and until each
// Lease is old enough to be deleted: see aged.
func (d *director) settle(n int) {
	d.w.InstallLayout()
	d.gather(n)
}

// gather does so in a group whose layout record, if there is none, its first
// member has to make.
func (d *director) gather(n int) {
	for range n {
		d.join()
		d.w.Run(d.w.Config.Timings.RenewInterval / 4)
	}
	d.w.Until(4*d.h.slowly(d.scale)+10*time.Second, d.h.even)
	d.w.Run(2*time.Second + d.upTo(2*d.w.Config.Timings.RenewInterval))
}

// holder picks a shard and the process that holds it; r is nil if nobody does.
func (d *director) holder() (shard string, r *Replica) {
	shards := d.w.Config.Shards
	shard = shards[d.rng.IntN(len(shards))].Name
	return shard, d.w.Holder(shard)
}

// other picks a process that is not r; nil if there is none.
func (d *director) other(r *Replica) *Replica {
	var others []*Replica
	for _, other := range d.w.Alive() {
		if other != r {
			others = append(others, other)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return others[d.rng.IntN(len(others))]
}

// upTo draws a duration up to d.
func (d *director) upTo(most time.Duration) time.Duration { return Span{0, most}.draw(d.rng) }

// around draws one close to d, by a few per mille.
func (d *director) around(about time.Duration) time.Duration {
	return about + Span{-about / 200, about / 200}.draw(d.rng)
}

// next lets the next request of r that fits meet that fate, and waits until it
// is sent, at most for patience.
func (d *director) next(r *Replica, why string, f Fate, patience time.Duration) bool {
	met := false
	d.w.Fate = func(sender *Replica, op lease.Op) (Fate, bool) {
		if met || sender != r || !strings.Contains(op.Why, why) {
			return Fate{}, false
		}
		met = true
		d.w.logf(r.Name, "its next %s meets a fate of its own", why)
		return f, true
	}
	return d.w.Until(patience, func() bool { return met })
}

// takenOver waits until somebody else than r holds the shard, for about as long
// as that takes.
func (d *director) takenOver(shard string, r *Replica) {
	d.w.Until(2*d.h.slowly(d.scale)+time.Second, func() bool {
		holder := d.w.Holder(shard)
		return holder != nil && holder != r
	})
	d.w.Run(d.upTo(d.scale))
}

// renewal is what the holder of a shard renews it by.
func renewal(r *Replica, shard string) string {
	if held := r.Terms[shard]; held != nil && held.Mode == lease.LeaseMode {
		return "renew"
	}
	return "heartbeat"
}

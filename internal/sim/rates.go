// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Rates bound how busy a process may be.
type Rates struct {
	// Requests is when requests were sent, in the second before the last one.
	Requests []time.Duration
	// MostTicks and MostRequests are the most in any second.
	MostTicks, MostRequests int

	ticks []time.Duration
	stuck int // Ticks one after the other at one instant
	last  time.Duration
}

const (
	maxTicksPerSecond    = 100
	maxRequestsPerSecond = 120
	maxStuckTicks        = 8
)

func (c *Rates) ticked(r *Replica) {
	now := r.w.now
	if c.stuck++; now != c.last {
		c.stuck, c.last = 0, now
	}
	c.ticks = lastSecond(c.ticks, now)
	c.MostTicks = max(c.MostTicks, len(c.ticks))
	if c.stuck > maxStuckTicks || len(c.ticks) > maxTicksPerSecond {
		r.w.violatef(r, "busy loop", "%d ticks in a second, %d at one instant", len(c.ticks), c.stuck)
	}
}

func (c *Rates) sent(r *Replica, op lease.Op) {
	c.Requests = lastSecond(c.Requests, r.w.now)
	c.MostRequests = max(c.MostRequests, len(c.Requests))
	if len(c.Requests) > maxRequestsPerSecond+4*len(r.w.ShardNames())+r.w.divisionRequests() {
		r.w.violatef(r, "busy loop", "%d requests in a second, now %s %s (%s)", len(c.Requests), op.Verb, op.Name, op.Why)
	}
}

func lastSecond(at []time.Duration, now time.Duration) []time.Duration {
	i := slices.IndexFunc(at, func(t time.Duration) bool { return t > now-time.Second })
	if i < 0 {
		return append(at[:0], now)
	}
	return append(at[i:], now)
}

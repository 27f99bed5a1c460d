// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/shardctl/shardctl/pkg/lease"
)

// unrenewed: nothing that a replica in lease mode writes into one shard's Lease
// gets through any more, while its heartbeats do; the last renewal was shown
// late. The others take that shard, by the standard rules, although its holder's
// session goes on: the term has to end by its own Lease.
func (d *director) unrenewed() {
	d.modes = []lease.Mode{lease.LeaseMode}
	d.settle(2)
	shard, r := d.holder()
	if r == nil {
		return
	}
	name := lease.ShardLeaseName(Group, shard)
	sent := false
	d.w.Fate = func(sender *Replica, op lease.Op) (Fate, bool) {
		if sender != r || op.Name != name {
			return Fate{}, false
		}
		if sent {
			return Fate{Lost: true}, true
		}
		// As late as the session can afford: its heartbeats are shown as late.
		sent = true
		t := r.Config.Timings
		r.Watch.Stalled = d.w.now + d.upTo(r.Clock.true(t.RenewDeadline-t.RenewInterval))
		return Fate{}, true
	}
	d.takenOver(shard, r)
}

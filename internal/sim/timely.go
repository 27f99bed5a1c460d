// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// The templates of directed histories that say how soon a shard is held again
// where nothing else goes wrong (G5).

const (
	// takenWithin is how long after the LeaseDuration a shard is held again: a
	// heartbeat that confirms the view, the end of the session, the claim, and
	// the stagger if the first in turn has something better to do.
	takenWithin = time.Second
	// deadWithin is how long after a known death.
	deadWithin = time.Second
	// handedWithin is how long a shard stays without a holder in a hand-over: one
	// request and one event.
	handedWithin = 50 * time.Millisecond
)

// crash: every shard is held again a LeaseDuration and a second after the last
// renewal, by the slowest clock.
func (d *director) crash() {
	d.settle(1 + 1 + d.rng.IntN(2))
	_, r := d.holder()
	if r == nil {
		return
	}
	r.Crash()
	d.heldWithin(d.h.slowly(r.Config.Timings.LeaseDuration)+takenWithin, "a crash")
}

// knownDeath: within a second of the report.
func (d *director) knownDeath() {
	d.settle(1 + 1 + d.rng.IntN(2))
	_, r := d.holder()
	if r == nil {
		return
	}
	r.Crash()
	d.w.Run(d.upTo(d.scale / 4))
	d.happens(DeathReported)
	for _, other := range d.w.Alive() {
		other.Deliver(lease.Died{Replica: r.Process})
	}
	d.heldWithin(deadWithin, "a known death")
	if d.chance(0.5) {
		next := d.w.Restart(r)
		d.w.Run(d.upTo(d.scale))
		for _, other := range d.w.Alive() {
			other.Deliver(lease.Died{Replica: r.Process}) // of the last process, not of this one
		}
		before := next.Identity
		d.w.Run(d.upTo(d.scale))
		if next.Identity != before {
			d.w.violatef(next, "known death", "ended for the death of its predecessor")
		}
	}
}

// handOver: whoever leaves hands its shards over, each of which is without a
// holder for a moment only.
func (d *director) handOver() {
	d.settle(2 + d.rng.IntN(2))
	shard, r := d.holder()
	if r == nil {
		return
	}
	d.leave(r)
	if !d.w.Until(10*time.Second, func() bool { return d.w.Holder(shard) != r }) {
		d.w.violatef(r, "liveness", "%s is not handed over", shard)
	}
	if !d.w.Until(handedWithin, func() bool { return d.w.Holder(shard) != nil }) {
		d.w.violatef(r, "liveness", "%s has no holder %s after it was handed over", shard, handedWithin)
	}
}

// outage: the API server is away for all, for longer than anybody waits. Whoever
// comes back first has seen nothing meanwhile, so nobody is silent to it: each
// gets its own shards again (R15).
func (d *director) outage() {
	d.settle(2 + d.rng.IntN(2))
	back := d.w.now + d.around(2*d.h.slowly(d.scale))
	for _, r := range d.w.Alive() {
		d.cut(r, back+d.upTo(100*time.Millisecond), cutBoth)
	}
	d.w.Run(back - d.w.now)
	taken := d.w.Checks.Granted[lease.CauseTakeOver]
	d.heldWithin(d.h.heldAgain(), "an outage")
	if now := d.w.Checks.Granted[lease.CauseTakeOver]; now > taken {
		d.w.violatef(nil, "outage", "%d shards were taken over from replicas that came back a moment later", now-taken)
	}
}

func (d *director) heldWithin(limit time.Duration, what string) {
	if !d.w.Until(limit, d.h.allHeld) {
		d.w.violatef(nil, "liveness", "held %s after %s: %s; %s", limit, what, d.w.Holders(), d.w.records())
	}
}

// foreignContends lets an elector that knows the standard rules only take a
// shard when it may, renew it for a while, and vanish (R14).
func (d *director) foreignContends() {
	d.settle(1 + d.rng.IntN(2))
	shard, r := d.holder()
	if r == nil {
		return
	}
	if d.chance(0.5) {
		d.cut(r, d.w.now+d.upTo(4*d.scale), cutBoth)
	} else {
		d.leave(r)
	}
	name := lease.ShardLeaseName(Group, shard)
	free := func() bool { l := d.w.Server.leases[name]; return l != nil && d.takeable(l) }
	if !d.w.Until(2*d.scale, free) {
		return
	}
	d.w.checkForeign(name)
	term := d.w.Server.leases[name].Spec.LeaseTransitions
	epoch, renewals := ptr.Deref(term, 0)+1, 3+d.rng.IntN(5)
	for range renewals {
		d.happens(ForeignElector)
		d.w.logf("*", "%s holds %s", foreigner, shard)
		d.w.Server.Edit(name, func(l *coordinationv1.Lease) { hold(l, d.w.now, 2, epoch) })
		d.w.Run(300 * time.Millisecond)
		if l := d.w.Server.leases[name]; l == nil || ptr.Deref(l.Spec.HolderIdentity, "") != foreigner {
			d.w.violatef(nil, "foreign", "%s was taken from an elector that renews it", shard)
		}
	}
	d.w.Run(d.upTo(d.scale))
}

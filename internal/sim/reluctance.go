// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"maps"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// reluctance has replicas decline families for a while, and call their work busy.
type reluctance struct {
	source
	c *chaos
}

const (
	// shareReluctant of the histories have it.
	shareReluctant = 0.25
	// reluctanceSource tells this source of chance from others: without it, all else
	// draws the same.
	reluctanceSource = 1<<28 + 2
)

// hesitate makes replicas reluctant from now on, until the faults heal, or does not.
func (c *chaos) hesitate() {
	if r := (&reluctance{source: c.w.source(reluctanceSource), c: c}); r.chance(shareReluctant) {
		r.begin()
	}
}

func (r *reluctance) begin() {
	r.c.w.after(Span{0, 2 * r.c.scale}.draw(r.rng), func() {
		if r.c.healed {
			return
		}
		r.act()
		r.begin()
	})
}

// act has one replica change its mind about one family.
func (r *reluctance) act() {
	alive := r.c.w.Alive()
	if len(alive) == 0 {
		return
	}
	one := alive[r.rng.IntN(len(alive))]
	family := r.c.w.Config.Shards[r.rng.IntN(len(r.c.w.Config.Shards))].Name
	switch {
	case r.chance(0.3):
		if r.happens(FamilyBusy) {
			one.callBusy(family, !one.busy[family])
		}
	case one.declines[family] != "":
		one.accept(family)
	case r.happens(FamilyDeclined):
		one.decline(family, []lease.Cause{lease.CauseUnfit, lease.CauseYielded}[r.rng.IntN(2)])
	}
}

func (r *Replica) decline(family string, cause lease.Cause) {
	r.w.logf(r.Name, "declines %s (%s)", family, cause)
	declines := maps.Clone(r.declines)
	declines[family] = cause
	r.Deliver(lease.Reported{Ready: r.ready, Declines: declines})
}

func (r *Replica) accept(family string) {
	r.w.logf(r.Name, "accepts %s again", family)
	declines := maps.Clone(r.declines)
	delete(declines, family)
	r.Deliver(lease.Reported{Ready: r.ready, Declines: declines})
}

func (r *Replica) callBusy(family string, busy bool) {
	all := maps.Clone(r.busy)
	if delete(all, family); busy {
		all[family] = true
	}
	r.Deliver(lease.Reported{Ready: r.ready, Busy: all})
}

// reported takes in what the machine is told of the process.
func (r *Replica) reported(ev lease.Reported) {
	r.ready = ev.Ready
	if ev.Declines != nil {
		r.declines = ev.Declines
	}
	if ev.Busy != nil {
		r.busy = ev.Busy
	}
}

// checkReluctance says that a family which is declined is not worked for, and that one
// which is busy is not moved for balance.
func (w *World) checkReluctance(r *Replica, effect lease.Effect) {
	switch e := effect.(type) {
	case lease.Granted:
		if r.declines[e.Term.Family] != "" {
			w.violatef(r, "declined", "%s is granted at epoch %d, although the replica declines its family", e.Term.Shard, e.Term.Epoch)
		}
	case lease.Revoked:
		if e.Cause == lease.CauseBalance && r.busy[e.Term.Family] {
			w.violatef(r, "declined", "%s is to be given away for balance, although its family is busy", e.Term.Shard)
		}
	default:
	}
}

// shareDirectedReluctant of the directed histories are about families that are declined.
const shareDirectedReluctant = 0.05

var reluctantTemplate = template{"family declined", (*director).declined}

const (
	// declinedWithin is how long a family is held by a replica that declines it: longer
	// than any work takes to end.
	declinedWithin = 10 * time.Second
	// acceptedWithin is how soon it is held once somebody accepts it.
	acceptedWithin = time.Second
)

// declined: whoever declines gives the shard away, to another or to nobody; where all
// decline nobody holds it, and the first that accepts does, soon after.
func (d *director) declined() {
	d.settle(2 + d.rng.IntN(2))
	shard, r := d.holder()
	if r == nil {
		return
	}
	d.happens(FamilyDeclined)
	r.decline(shard, lease.CauseUnfit)
	if !d.w.Until(declinedWithin, func() bool { next := d.w.Holder(shard); return next != nil && next != r }) {
		d.w.violatef(r, "liveness", "%s, which is declined, is not with another after %s: %s", shard, declinedWithin, d.w.Holders())
	}
	for _, other := range d.w.Alive() {
		if other != r {
			other.decline(shard, lease.CauseYielded)
		}
	}
	if !d.w.Until(declinedWithin, func() bool { return d.w.Holder(shard) == nil }) {
		d.w.violatef(r, "liveness", "%s, which all decline, is still held after %s: %s", shard, declinedWithin, d.w.Holders())
	}
	d.w.Run(d.upTo(2 * d.scale))
	if holder := d.w.Holder(shard); holder != nil {
		d.w.violatef(holder, "declined", "%s, which all decline, is held", shard)
	}
	r.accept(shard)
	if !d.w.Until(acceptedWithin, func() bool { return d.w.Holder(shard) == r }) {
		d.w.violatef(r, "liveness", "%s is not held %s after one has accepted it", shard, acceptedWithin)
	}
}

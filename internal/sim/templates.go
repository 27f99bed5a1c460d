// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// The templates of directed histories. Each begins with a settled group and ends
// in whatever state: then all faults heal.

// slowHeartbeat: were validity counted from the reply or from the event, a slow
// network followed by a partition would give two holders.
func (d *director) slowHeartbeat() {
	d.settle(2)
	shard, r := d.holder()
	if r == nil {
		return
	}
	slow := d.upTo(r.Clock.true(r.Config.Timings.RequestTimeout()))
	r.Watch.Stalled = d.w.now + d.upTo(2*r.Clock.true(r.Config.Timings.RenewInterval))
	d.next(r, renewal(r, shard), Fate{Reply: slow}, d.scale)
	r.Watch.Stalled = d.w.now + slow
	d.w.Run(slow + d.upTo(10*time.Millisecond))
	d.cut(r, d.w.now+10*d.scale, cutBoth)
	d.takenOver(shard, r)
}

// longPause stops the holder for about as long as its validity, or as the others
// wait. What comes first when it goes on, its timer, a reply or an event, is
// anybody's guess.
func (d *director) longPause() {
	d.settle(2)
	shard, r := d.holder()
	if r == nil {
		return
	}
	t := r.Config.Timings
	about := []time.Duration{t.RenewDeadline - t.RenewInterval, t.RenewDeadline, t.LeaseDuration, t.LeaseDuration + t.RenewInterval}
	pause := r.Clock.true(d.around(about[d.rng.IntN(len(about))]))
	if d.chance(0.5) {
		d.next(r, renewal(r, shard), Fate{Request: d.upTo(20 * time.Millisecond), Reply: d.upTo(pause)}, d.scale)
	}
	r.Pause(pause)
	d.w.Run(pause + d.upTo(d.scale))
}

// pausedInStep stops a replica between two effects of one decision, such as
// after it was granted a shard and before its work begins.
func (d *director) pausedInStep() {
	d.settle(2)
	_, r := d.holder()
	if r == nil {
		return
	}
	d.w.Faults.pause = Span{0, 2 * d.h.slowly(d.scale)}
	d.w.Faults.pausedInStep = 0.2
	if d.chance(0.5) {
		d.leave(r)
	} else {
		d.join()
	}
	d.w.Run(d.h.slowly(d.scale))
}

// lateRenewal lets the last renewal of a holder that is cut off arrive just when
// another replica ends its session (R1).
func (d *director) lateRenewal() {
	d.settle(2)
	shard, r := d.holder()
	other := d.other(r)
	if r == nil || other == nil {
		return
	}
	wait := other.Clock.true(r.Config.Timings.LeaseDuration)
	if d.next(r, renewal(r, shard), Fate{Request: d.around(wait), Mute: d.chance(0.5)}, d.scale) {
		d.cut(r, d.w.now+3*d.scale, []int{cutBoth, cutRequests, cutRequests | cutReplies}[d.rng.IntN(3)])
	}
	d.takenOver(shard, r)
}

// unknownTransfer gives a shard away by a request whose outcome its sender does
// not learn, and which may be carried out long after (R2).
func (d *director) unknownTransfer() {
	d.settle(2)
	shard, r := d.holder()
	if r == nil {
		return
	}
	d.leave(r)
	f := Fate{Request: d.upTo(2 * d.scale), Mute: true}
	if d.chance(0.3) {
		f = Fate{Lost: true}
	}
	if !d.next(r, "", f, d.scale) {
		return
	}
	switch d.rng.IntN(4) {
	case 0:
		r.Crash()
	case 1:
		r.Pause(d.upTo(3 * d.scale))
	case 2:
		if other := d.other(r); other != nil {
			other.Crash()
			d.w.Restart(other)
		}
	}
	d.takenOver(shard, r)
}

// unknownClaim does the same with a claim; the claimant may be gone before it is
// carried out.
func (d *director) unknownClaim() {
	d.settle(2)
	shard, r := d.holder()
	other := d.other(r)
	if r == nil || other == nil {
		return
	}
	r.Crash()
	f := Fate{Request: d.upTo(2 * d.scale), Mute: d.chance(0.7)}
	if !d.next(other, "claim", f, 2*d.h.slowly(d.scale)) {
		return
	}
	switch d.rng.IntN(3) {
	case 0:
		other.Crash()
		d.w.Restart(other)
	case 1:
		other.Pause(d.upTo(2 * d.scale))
	}
	d.takenOver(shard, nil)
}

// deletedShard deletes a shard's Lease while its holder does not see it (R6b).
func (d *director) deletedShard() {
	d.settle(2)
	shard, r := d.holder()
	if r == nil {
		return
	}
	d.cut(r, d.w.now+5*d.scale, []int{cutWatch, cutBoth, cutReplies | cutWatch}[d.rng.IntN(3)])
	d.w.Run(d.upTo(100 * time.Millisecond))
	if d.chance(0.3) {
		d.w.Server.Remove(lease.MemberLeaseName(Group, r.Process))
	}
	d.w.Server.Remove(lease.ShardLeaseName(Group, shard))
	d.w.logf("*", "deletes the Lease of %s", shard)
	d.takenOver(shard, r)
}

// deletedLayout deletes the layout record as well, behind the back of the only
// replica that knows it: nothing tells the next one that the shard ever existed.
// The record made anew vouches for no Lease until a LeaseDuration has passed
// (R6b).
func (d *director) deletedLayout() {
	if d.chance(0.5) {
		d.w.InstallLayout()
	}
	d.gather(1)
	shard, r := d.holder()
	if r == nil {
		return
	}
	d.cut(r, d.w.now+5*d.scale, []int{cutWatch, cutBoth}[d.rng.IntN(2)])
	d.w.Run(d.upTo(100 * time.Millisecond))
	d.w.logf("*", "deletes the layout record and the Lease of %s", shard)
	d.w.Server.Remove(lease.LayoutLeaseName(Group))
	d.w.Server.Remove(lease.ShardLeaseName(Group, shard))
	d.join()
	d.takenOver(shard, r)
}

// restoredShard puts an earlier state of the Lease in the place of the one that
// the holder knows, as a restored backup does (R6b).
func (d *director) restoredShard() {
	d.settle(2)
	shard, r := d.holder()
	if r == nil {
		return
	}
	d.cut(r, d.w.now+5*d.scale, []int{cutWatch, cutBoth}[d.rng.IntN(2)])
	d.w.Run(d.upTo(100 * time.Millisecond))
	name := lease.ShardLeaseName(Group, shard)
	var states []*coordinationv1.Lease
	for _, change := range d.w.Server.history {
		if change.After != nil && change.After.Name == name {
			states = append(states, change.After)
		}
	}
	d.w.Server.Remove(name)
	backup := states[d.rng.IntN(len(states))]
	d.w.logf("*", "restores %s", describeLease(backup))
	d.w.Server.Create(backup)
	d.takenOver(shard, r)
}

// deletedMember deletes the record of a holder, which may be there or not; that
// proves nothing (R5).
func (d *director) deletedMember() {
	d.settle(2)
	shard, r := d.holder()
	if r == nil {
		return
	}
	switch d.rng.IntN(4) {
	case 0:
		r.Crash()
	case 1:
		d.cut(r, d.w.now+3*d.scale, cutBoth)
	case 2:
		d.cut(r, d.w.now+3*d.scale, cutRequests)
	}
	d.w.Run(d.upTo(r.Clock.true(r.Config.Timings.RenewDeadline)))
	d.w.logf("*", "deletes the member Lease of %s", r.Name)
	d.w.Server.Remove(lease.MemberLeaseName(Group, r.Process))
	if other := d.other(r); other != nil && d.chance(0.5) {
		other.Watch.BreakOff(d.upTo(d.scale/2), true)
	}
	d.takenOver(shard, r)
}

// lateRecord makes a record anew, by a request of a session that is long over,
// after it was deleted.
func (d *director) lateRecord() {
	d.w.InstallLayout()
	r := d.join()
	var late lease.Op
	for range 3 { // the first to write the record
		if d.next(r, "heartbeat", Fate{Lost: true}, time.Second) {
			break
		}
	}
	d.w.Fate = func(sender *Replica, op lease.Op) (Fate, bool) {
		if sender == r && op.Verb == lease.Create && late.Lease == nil {
			late = op
		}
		return Fate{}, false
	}
	d.cut(r, d.w.now+r.Clock.true(2*r.Config.Timings.RenewDeadline), cutBoth)
	d.join()
	d.w.Until(3*d.h.slowly(d.scale)+5*time.Second, d.h.even)
	if late.Lease == nil {
		return
	}
	r.Watch.Stalled = d.w.now + 5*d.scale
	d.w.Run(d.upTo(20 * time.Millisecond))
	d.w.logf("*", "deletes the member Lease of %s, and its first request arrives", r.Name)
	d.w.Server.Remove(late.Name)
	d.w.Server.Do(late)
	d.w.Run(2 * d.scale)
}

// restartedInPod starts the next process of a Pod while a request of the last
// one is under way.
func (d *director) restartedInPod() {
	d.settle(2)
	shard, r := d.holder()
	if r == nil {
		return
	}
	d.next(r, renewal(r, shard), Fate{Request: d.upTo(d.scale)}, d.scale)
	r.Crash()
	d.w.Run(d.upTo(d.scale / 4))
	next := d.w.Restart(r)
	d.w.Run(d.upTo(d.scale / 4))
	if other := d.other(next); other != nil && d.chance(0.5) {
		other.Deliver(lease.Died{Replica: r.Process})
	}
	if d.chance(0.3) {
		next.Crash()
		d.w.Restart(next)
	}
	d.w.Run(d.scale)
}

// staleReconnect lets a shard change hands while a watch is away; it comes back
// with a list from before (R3).
func (d *director) staleReconnect() {
	d.settle(2)
	shard, r := d.holder()
	if r == nil {
		return
	}
	watcher := d.one()
	watcher.Watch.BreakOff(d.upTo(d.scale/3), true)
	d.w.Faults.staleList = 1 + d.rng.IntN(20)
	d.w.Faults.repeated = 0.3
	switch d.rng.IntN(3) {
	case 0:
		d.leave(r)
	case 1:
		d.join()
	case 2:
		d.w.Server.Remove(lease.ShardLeaseName(Group, shard))
	}
	d.w.Run(d.upTo(d.scale))
	d.join()
	d.w.Run(d.upTo(d.scale))
}

// blindWitness: whoever has seen nothing for a while has not seen that somebody
// is silent (R6a, R15).
func (d *director) blindWitness() {
	d.settle(2)
	_, r := d.holder()
	other := d.other(r)
	if r == nil || other == nil {
		return
	}
	blind := other.Clock.true(d.around(other.Config.Timings.LeaseDuration))
	d.cut(other, d.w.now+d.upTo(blind), []int{cutWatch, cutReplies | cutWatch, cutBoth}[d.rng.IntN(3)])
	if d.chance(0.5) {
		d.cut(r, d.w.now+d.upTo(r.Clock.true(r.Config.Timings.RenewDeadline)), cutRequests)
	}
	d.w.Run(blind + d.upTo(d.scale))
}

// lapsedWork: the work of a term that lapsed may still go on while the shard is
// held again, by whomever.
func (d *director) lapsedWork() {
	d.settle(2)
	shard, r := d.holder()
	if r == nil {
		return
	}
	d.w.Faults.WorkReturns = Span{d.scale, 4 * d.scale}
	d.cut(r, d.w.now+r.Clock.true(d.around(r.Config.Timings.RenewDeadline+r.Config.Timings.RenewInterval)), cutBoth)
	d.w.Run(2 * d.scale)
	d.w.Faults.WorkReturns = Exactly(10 * time.Millisecond)
	if holder := d.w.Holder(shard); holder != nil {
		d.leave(holder)
		d.join()
	}
	// Work that goes on for so long keeps the shard, or a key: that is not what
	// is measured next.
	d.w.Run(4 * d.scale)
}

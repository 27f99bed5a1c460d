// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"maps"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// memberOf is the member Lease that an identity's session lives in, or nil.
func (e *Election) memberOf(identity string) *entry {
	return e.view.leases[e.view.who(identity).record]
}

// over tells whether the session of an identity is certainly over: its record
// says so, or a later session of the same process is in the record. This
// replica's own earlier sessions are over as well, since a container starts
// again only after its last run has ended. Any other holder in the record
// proves nothing: a hand may have written it, or a request that was carried out
// long after it was given up, and made the record anew.
func (e *Election) over(identity string) bool {
	holder := e.view.who(identity)
	switch holder.record {
	case "":
		return false // not one of ours
	case e.own:
		return identity != e.Identity()
	}
	if slices.Contains(e.view.ended, identity) {
		return true
	}
	m := e.view.leases[holder.record]
	if m == nil {
		return false
	}
	later := e.view.who(m.member.Holder)
	return later.Replica == holder.Replica && later.Incarnation > holder.Incarnation
}

// expired tells whether the session of an identity has shown no sign of life
// for its LeaseDuration, on this replica's clock. It permits no more than to
// end that session (R1). A member Lease that is missing proves nothing (R5):
// the wait is the same, counted from the latest list.
func (e *Election) expired(identity string, recorded time.Duration) bool {
	switch {
	case identity == e.Identity():
		return false
	case e.knownDead(identity):
		return true
	}
	duration := min(recorded, maxLeaseDuration)
	var since Instant
	if m := e.memberOf(identity); m != nil && m.member.Holder == identity {
		since = m.changed
		if m.member.Duration > 0 {
			duration = min(m.member.Duration, maxLeaseDuration)
		}
		delete(e.absent, identity)
	} else {
		if e.absent[identity] == 0 {
			e.absent[identity] = e.now
		}
		since = e.absent[identity]
	}
	if duration <= 0 {
		duration = e.cfg.Timings.LeaseDuration
	}
	return e.confirmedAt(max(since, e.session.since).Add(duration))
}

// died takes in that a process is known to have ended.
func (e *Election) died(r Replica) {
	if r == e.cfg.Replica || r.validate() != nil || slices.Contains(e.dead, r) {
		return
	}
	if len(e.dead) == maxEnded {
		e.dead = slices.Delete(e.dead, 0, 1)
	}
	e.dead = append(e.dead, r)
}

// knownDead tells whether the process of an identity is known to have ended
// (R10).
func (e *Election) knownDead(identity string) bool {
	return len(e.dead) > 0 && slices.Contains(e.dead, e.view.who(identity).Replica)
}

// confirmedAt tells whether the own view was confirmed at or after the instant
// due (R6a, R15): an own heartbeat sent since then has come back. If only that
// is missing, it asks for a heartbeat now.
func (e *Election) confirmedAt(due Instant) bool {
	s := &e.session
	switch {
	case e.now < due:
		e.wakeAt(due)
		return false
	case s.confirmed >= due:
		return true
	}
	if asked := s.sent.newest() >= due; !asked && !s.ending && e.free(e.own) {
		s.urgent = true
		e.wakeAt(e.now)
	}
	return false
}

// absenceListed starts the clocks of missing member Leases anew (R5).
func (e *Election) absenceListed() {
	for identity := range e.absent {
		e.absent[identity] = e.now
	}
}

// endSession ends the session of another replica (R1): its record is made to
// say so by compare-and-swap, so that a renewal under way and a take-over
// cannot both succeed.
func (e *Election) endSession(identity string) {
	name := e.view.who(identity).record
	if name == "" || !e.free(name) {
		return // one that is not one of ours nobody can end
	}
	op := Op{Verb: Create, Name: name, Why: "end session", Lease: &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: e.cfg.Namespace},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       &identity,
			LeaseDurationSeconds: ptr.To(int32(e.cfg.Timings.LeaseDuration / time.Second)),
		},
	}}
	if known := e.view.leases[name]; known != nil {
		op.Verb, op.Lease = Update, known.lease.DeepCopy()
	}
	op.Lease.Labels = annotate(op.Lease.Labels, map[string]string{LabelGroup: e.cfg.Group, LabelKind: KindMember})
	op.Lease.Annotations = annotate(op.Lease.Annotations, map[string]string{AnnotationEnded: identity})
	reason := EndExpired
	if e.knownDead(identity) {
		reason = EndDead
	}
	e.send(op, func(r Replied) {
		if r.Outcome == OK {
			e.emit(Ended{Identity: identity, Reason: reason})
		}
	})
}

// buryAfter is how many LeaseDurations after its end a member Lease is kept
// for people to see.
const buryAfter = 10

// actPeers looks after members that nobody else would: the first of the live
// ones ends expired sessions that hold no shard, and removes records of
// sessions that ended long ago.
func (e *Election) actPeers() {
	maps.DeleteFunc(e.absent, func(identity string, _ Instant) bool { return !e.named(identity) })
	maps.DeleteFunc(e.retry, func(name string, b backoff) bool { // of records that have gone
		return e.view.isMember(name) && name != e.own && e.view.leases[name] == nil && !e.busy[name] && e.now >= b.until
	})
	if len(e.members) == 0 || e.members[0].Identity != e.Identity() || e.leaving {
		return
	}
	for _, name := range e.view.names {
		known := e.view.leases[name]
		if !e.view.isMember(name) || name == e.own || !e.view.settled(known) {
			continue
		}
		holder := known.member.Holder
		switch {
		case e.memberOf(holder) != known:
			e.bury(known) // a copy: what it says is nobody's
		case holder != known.member.Ended:
			if e.expired(holder, known.member.Duration) {
				e.endSession(holder)
			}
		case !e.named(holder):
			e.bury(known)
		}
	}
}

// actStrays removes Leases of layouts that are no more: the first of the members
// that serve the family does.
func (e *Election) actStrays() {
	for _, name := range e.strays {
		known := e.view.leases[name]
		if known == nil || known.shard.Holder != "" || !e.view.settled(known) || e.leaving {
			continue
		}
		family, _ := ParseShardName(name[len(e.cfg.Group)+1:])
		first := slices.IndexFunc(e.members, func(m Candidate) bool { return m.Can(family) })
		if len(e.layouts[family].From) > 0 || first < 0 || e.members[first].Identity != e.Identity() {
			continue
		}
		if (e.blocksFence(known) || e.buried(known) && !e.needed(known)) && e.free(name) {
			e.send(Op{Verb: Delete, Name: name, Lease: known.lease, Why: "bury"}, nil)
		}
	}
}

// blocksFence tells whether a Lease that is in nobody's way was made by mistake,
// such as by a replica that did not know of any record yet. Admission policies
// cannot tell it from one that just has no holder, and refuse all writes to its
// objects: it is not left for later.
func (e *Election) blocksFence(known *entry) bool {
	return known.shard.Epoch == 0 && !known.shard.Claimed && known.shard.Sealed == 0
}

// buried tells whether it is time to remove a record, and asks to be woken if not.
func (e *Election) buried(known *entry) bool {
	due := known.changed.Add(buryAfter * e.cfg.Timings.LeaseDuration)
	if e.now < due {
		e.wakeAt(due)
	}
	return e.now >= due
}

func (e *Election) bury(known *entry) {
	if e.buried(known) && e.free(known.lease.Name) {
		e.send(Op{Verb: Delete, Name: known.lease.Name, Lease: known.lease, Why: "bury"}, nil)
	}
}

// named tells whether any shard Lease names the identity.
func (e *Election) named(identity string) bool {
	for _, known := range e.view.leases {
		if identity != "" && known.shard.Holder == identity && known.shard.Claimed {
			return true
		}
	}
	return false
}

// leave starts to hand everything over.
func (e *Election) leave() {
	if !e.leaving {
		e.leaving = true
		e.leavingSince = e.now
		e.session.urgent = true
	}
}

// wordPatience is how long a leaver waits for the word of it to be heard, of the time
// that it has to leave.
const wordPatience = time.Second

// knownToLeave tells whether the group's watch shows that this replica leaves. Whoever
// was given its shards before would see a member that holds nothing, and give it some
// back: to a session that ends.
func (e *Election) knownToLeave() bool {
	if own := e.view.leases[e.own]; own != nil && own.member.Holder == e.Identity() && own.member.Leaving {
		return true
	}
	until := e.leavingSince.Add(wordPatience)
	if e.now < until {
		e.wakeAt(until)
	}
	return e.now >= until
}

// actLeave ends the own session once all work has ended and no shard names it
// any more, and then removes the record (R5).
func (e *Election) actLeave() {
	s := &e.session
	if e.left || !e.handedOver() {
		return
	}
	own := e.view.leases[e.own]
	switch {
	case own == nil && !e.busy[e.own]:
		e.leaveNow()
	case !e.free(e.own):
	case own.member.Ended != e.Identity():
		s.ending = true
		e.send(e.memberOp("end own session"), nil)
	default:
		e.send(Op{Verb: Delete, Name: e.own, Lease: own.lease, Why: "leave"}, func(r Replied) {
			if r.Outcome == OK || r.Outcome == NotFound {
				e.leaveNow()
			}
		})
	}
}

// handedOver tells whether this replica leaves and nothing rests on its session
// any more. A shard that still names it is passed on by its claim, while the
// session is valid.
func (e *Election) handedOver() bool {
	return e.leaving && e.idle() && !(e.session.valid(e.now) && e.named(e.Identity()))
}

// idle tells whether no term is held and no work goes on.
func (e *Election) idle() bool {
	for _, c := range e.order {
		if c.phase != idle || c.working > 0 || e.busy[c.lease] {
			return false
		}
	}
	return true
}

func (e *Election) leaveNow() {
	if !e.left {
		e.left = true
		e.wake = 0
		e.emit(Left{})
	}
}

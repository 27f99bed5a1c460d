// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// session is the replica's own heartbeat. It becomes valid, and stays so, only
// by seeing its own attempts come back on the group's watch (R6a), counted from
// the instant at which they were sent.
type session struct {
	identity Identity
	id       string // identity, as it is written
	synced   bool   // the view has had its first list

	sent    attempts // those that may still extend the validity
	started Instant  // when this identity was first sent; zero before
	seen    bool     // the record has carried this identity

	until     Instant // validity; zero: not valid
	since     Instant // when it became valid
	confirmed Instant // send of the newest attempt that came back

	next   Instant // when the next heartbeat is due
	urgent bool    // something changed that the others wait for
	ending bool    // the record says ended, or is being told to
}

// valid tells whether the session may be acted on. One that is told to the
// others as ended is not, although time is left: they may take over at once.
func (s *session) valid(now Instant) bool { return s.until != 0 && now < s.until && !s.ending }

func newSession(id Identity) session { return session{identity: id, id: id.String()} }

// expire ends the session when its time has passed (R4).
func (e *Election) expire() {
	s := &e.session
	switch {
	case s.until != 0 && e.now >= s.until:
		e.lapse(CauseLapsed)
	case s.until == 0 && s.started != 0 && e.now >= s.started.Add(e.cfg.Timings.RenewDeadline):
		e.lapse(CauseLapsed)
	}
	e.expireTerms()
}

// lapse ends the session and everything that rests on it. The replica goes on
// under the next identity.
func (e *Election) lapse(cause Cause) {
	for _, c := range e.order {
		c.revoke(e, cause)
	}
	if e.session.ending {
		// It was leaving and all its work has ended: nothing is left to tell.
		e.leaveNow()
		return
	}
	id := e.session.identity
	id.Incarnation++
	next := e.now
	if cause == CauseEnded {
		// Somebody thinks us dead, or shares our name: do not fight over the
		// record at the speed of the network.
		next = e.now.Add(e.cfg.Timings.RenewInterval)
	}
	synced := e.session.synced
	e.session = newSession(id)
	e.session.synced, e.session.next = synced, next
	e.emit(Began{Identity: e.session.id})
}

// watchSession learns from the view what has become of the own record.
func (e *Election) watchSession() {
	s := &e.session
	own := e.view.leases[e.own]
	if s.ending {
		return
	}
	if own == nil {
		// Somebody deleted it: to the others this replica is not there.
		s.urgent = s.urgent || s.seen && !e.busy[e.own]
		return
	}
	id := s.id
	switch {
	case own.member.Holder == id && own.member.Ended == id:
		e.lapse(CauseEnded)
	case own.member.Holder == id:
		s.seen = true
		if own.shown {
			e.confirm(e.shownAttempt(own, own.member.Attempt, s.sent))
		}
	case s.seen:
		e.lapse(CauseEnded) // another session has taken the record over
	}
}

// shownAttempt is the attempt on a Lease that the watch has shown: the one in
// the record that is known, unless only a reply has told of that.
func (e *Election) shownAttempt(known *entry, number string, sent attempts) string {
	if e.view.settled(known) {
		return number
	}
	return sent.upTo(e.view.shown)
}

// confirm extends the validity from the send of the attempt that the watch has
// shown (R6a, R9).
func (e *Election) confirm(number string) {
	s := &e.session
	at, ok := s.sent.find(number)
	if !ok {
		return
	}
	s.sent.forget(number)
	until := at.Add(e.cfg.Timings.RenewDeadline)
	if until <= e.now {
		return // a reply or an event that comes too late extends nothing
	}
	if s.until == 0 {
		s.since = e.now
	}
	s.until = max(s.until, until)
	s.confirmed = max(s.confirmed, at)
	e.emit(Extended{Until: s.until, Sent: at})
}

// actSession sends the heartbeat when it is due.
func (e *Election) actSession() {
	s := &e.session
	if s.until != 0 {
		e.wakeAt(s.until)
	} else if s.started != 0 {
		e.wakeAt(s.started.Add(e.cfg.Timings.RenewDeadline))
	}
	if !s.synced || s.ending || e.handedOver() || !e.free(e.own) {
		return // once everything is handed over, the next write of the record ends the session
	}
	if e.now < s.next && !s.urgent {
		e.wakeAt(s.next)
		return
	}
	e.renew()
	e.wakeAt(s.next)
}

func (e *Election) renew() {
	s := &e.session
	number := e.nextAttempt()
	s.sent.add(number, e.now)
	if s.started == 0 {
		s.started = e.now
	}
	s.next = e.now.Add(e.cfg.Timings.RenewInterval)
	s.urgent = false
	op := e.memberOp("heartbeat")
	op.Lease.Annotations[AnnotationAttempt] = number
	op.Stamp = StampRenew
	sent, predecessor := e.now, e.predecessor()
	e.send(op, func(r Replied) {
		s.sent.committed(number, r)
		switch {
		case r.Outcome != OK:
			e.emit(Unrenewed{Outcome: r.Outcome})
		case predecessor != "":
			e.emit(Ended{Identity: predecessor, Reason: EndPredecessor})
		}
		if r.Outcome != OK && s.confirmed < sent {
			s.next = e.now // as soon as the back-off is over
		}
	})
}

// predecessor is the session of an earlier process of this container, if the own
// record names one that is not over: the next write of the record ends it.
func (e *Election) predecessor() string {
	own := e.view.leases[e.own]
	if own == nil || own.member.Ended == own.member.Holder {
		return ""
	}
	if last := e.view.who(own.member.Holder); last.record != e.own || last.Boot == e.cfg.Replica.Boot {
		return ""
	}
	return own.member.Holder
}

// memberOp writes the own record in full, as it should be now.
func (e *Election) memberOp(why string) Op {
	s := &e.session
	id := s.id
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: e.own, Namespace: e.cfg.Namespace}}
	op := Op{Verb: Create, Name: l.Name, Lease: l, Why: why}
	ended := ""
	if own := e.view.leases[l.Name]; own != nil {
		*l = *own.lease.DeepCopy()
		op.Verb = Update
		// A session of this container that came before is over as soon as
		// this write succeeds: say so, so that nobody waits for it.
		ended = own.member.Ended
		if own.member.Holder != id && e.view.who(own.member.Holder).record == e.own {
			ended = own.member.Holder
		}
	}
	if s.ending {
		ended = id
	}
	l.Labels = annotate(l.Labels, map[string]string{LabelGroup: e.cfg.Group, LabelKind: KindMember})
	l.Annotations = annotate(l.Annotations, map[string]string{
		AnnotationEnded:    ended,
		AnnotationRevision: strconv.FormatInt(e.cfg.Revision, 10),
		AnnotationReady:    trueOrNothing(e.report.Ready),
		AnnotationLeaving:  trueOrNothing(e.leaving),
		AnnotationServes:   strings.Join(e.serves, ","),
		AnnotationMode:     leaseModeOrNothing(e.cfg.Mode),
		AnnotationReplicas: countOrNothing(int64(e.cfg.TargetReplicas)),
		AnnotationBuckets:  e.encodeDivides(),
		AnnotationLoad:     encodeMap(e.report.Load),
		AnnotationProblems: encodeMap(e.report.Problems),
		AnnotationFence:    e.report.Fence,
		AnnotationDeclines: encodeMap(e.report.Declines),
	})
	if e.cfg.Owner != nil {
		l.OwnerReferences = []metav1.OwnerReference{*e.cfg.Owner}
	}
	l.Spec.HolderIdentity = &id
	l.Spec.LeaseDurationSeconds = ptr.To(int32(e.cfg.Timings.LeaseDuration / time.Second))
	l.Spec.LeaseTransitions = ptr.To(int32(min(s.identity.Incarnation, 1<<30)))
	return op
}

// encodeDivides is written even if nothing is divided: it tells that this replica
// knows of layouts.
func (e *Election) encodeDivides() string {
	return cmp.Or(encodeMap(e.divides), "{}")
}

func countOrNothing(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func leaseModeOrNothing(m Mode) string {
	if m == LeaseMode {
		return string(m)
	}
	return ""
}

func trueOrNothing(b bool) string {
	if b {
		return "true"
	}
	return ""
}

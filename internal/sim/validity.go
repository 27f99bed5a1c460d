// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import "github.com/shardctl/shardctl/pkg/lease"

// validity is what the fence of a process goes by: built from the effects as
// they are carried out, as the driver builds it, and not from what the machine
// thinks. A term has that of the session which it began in; one that is renewed
// by itself has its own besides.
type validity struct {
	until   lease.Instant
	session *validity // nil: it is that of a session
}

func (v *validity) valid(now lease.Instant) bool {
	return now < v.until && (v.session == nil || now < v.session.until)
}

// end is when it passes, unless it is extended before.
func (v *validity) end() lease.Instant {
	if v.session == nil {
		return v.until
	}
	return min(v.until, v.session.until)
}

// Held is a term that may be acted on for as long as it is valid.
type Held struct {
	lease.Term
	validity *validity
	// overlapped: two held the shard, and it has been counted.
	overlapped bool
}

// extend carries out [lease.Extended].
func (r *Replica) extend(e lease.Extended) {
	switch {
	case e.Shard == "":
		r.session.until = e.Until
	case e.Until == 0:
		r.endValidity(e.Shard)
	case r.own[e.Shard] == nil:
		r.own[e.Shard] = &validity{until: e.Until, session: r.session}
	default:
		r.own[e.Shard].until = e.Until
	}
}

// begin carries out [lease.Began]: the session is another one now, and what
// rested on the last is over.
func (r *Replica) begin(e lease.Began) {
	r.session.until = 0
	r.session = &validity{}
	r.Identity = e.Identity
}

// hold carries out [lease.Granted].
func (r *Replica) hold(t lease.Term) {
	held := &Held{Term: t, validity: r.session}
	if own := r.own[t.Shard]; own != nil && t.Mode == lease.LeaseMode {
		held.validity = own
	}
	r.Terms[t.Shard] = held
}

// end makes a term one that is not acted on any more.
func (r *Replica) end(t lease.Term) {
	if have := r.Terms[t.Shard]; have != nil && keyOf(have.Term) == keyOf(t) {
		delete(r.Terms, t.Shard)
	}
}

// endValidity ends that of a term which is renewed by itself.
func (r *Replica) endValidity(shard string) {
	if own := r.own[shard]; own != nil {
		own.until = 0
		delete(r.own, shard)
	}
}

// now is what the clock of the process shows.
func (r *Replica) now() lease.Instant { return r.Clock.At(r.w.now) }

// Valid tells whether the session may be acted on now.
func (r *Replica) Valid() bool { return !r.Gone && r.session.valid(r.now()) }

// Holds tells whether the process may act for the shard now.
func (r *Replica) Holds(shard string) bool {
	held := r.Terms[shard]
	return held != nil && !r.Gone && held.validity.valid(r.now())
}

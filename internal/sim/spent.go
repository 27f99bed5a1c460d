// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import "github.com/shardctl/shardctl/pkg/lease"

// promises are the validities that a machine has decided on, whether or not the
// process has got to carrying them out.
type promises struct {
	session lease.Instant
	terms   map[string]lease.Instant // of those that are renewed by themselves
}

// checkDecided is R4: a validity is moved into the future, and never once it has
// passed. Whose validity has passed goes on as another.
func (w *World) checkDecided(r *Replica, now lease.Instant, effect lease.Effect) {
	p := &r.promised
	switch e := effect.(type) {
	case lease.Extended:
		before := p.session
		if e.Shard != "" {
			before = p.terms[e.Shard]
		}
		switch {
		case e.Until == 0:
		case e.Until <= now:
			w.violatef(r, "validity", "extended to the past")
		case before != 0 && before <= now:
			w.violatef(r, "validity", "extended although it had passed")
		}
		if e.Shard != "" {
			p.terms[e.Shard] = e.Until
		} else {
			p.session = e.Until
		}
	case lease.Began:
		p.session = 0
	case lease.Revoked:
		if !e.Graceful {
			delete(p.terms, e.Term.Shard)
		}
	case lease.Passed:
		delete(p.terms, e.Term.Shard)
	default:
	}
}

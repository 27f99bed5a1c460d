// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// saw is the newest text that a process has seen in the ledger of each Lease.
type saw struct {
	shown uint64 // resourceVersion up to which its watch has shown everything
	texts map[string]seen
}

type seen struct {
	rv   uint64
	text string
}

// sees takes in what an event shows, as far as the machine does (R3).
func (s *saw) sees(ev lease.Event) {
	switch ev := ev.(type) {
	case lease.Observed:
		if rv := parseRV(ev.Lease.ResourceVersion); rv >= s.shown {
			s.shown = rv
			s.see(ev.Lease)
		}
	case lease.Listed:
		if rv := parseRV(ev.ResourceVersion); rv >= s.shown {
			s.shown = rv
			for _, l := range ev.Leases {
				s.see(l)
			}
		}
	case lease.Progressed:
		s.shown = max(s.shown, parseRV(ev.ResourceVersion))
	case lease.Replied:
		if ev.Lease != nil {
			s.see(ev.Lease)
		}
	default:
	}
}

func (s *saw) see(l *coordinationv1.Lease) {
	rv, text := parseRV(l.ResourceVersion), l.Annotations[lease.AnnotationLedger]
	if brought := broughtFrom(l); brought > 0 {
		rv = brought
	}
	if text != "" && rv > s.texts[l.Name].rv {
		s.texts[l.Name] = seen{rv, text}
	}
}

// broughtFrom is as of when the ledger of a Lease that was never claimed is, if a replica
// has brought it there from an earlier one; else 0.
func broughtFrom(l *coordinationv1.Lease) uint64 {
	if lease.DecodeShard(l).Claimed {
		return 0
	}
	return parseRV(l.Annotations[lease.AnnotationLedgerAsOf])
}

// checkLedgerWrite says who may change the ledger of a shard: the term that the Lease
// names, and whoever brings back what a deleted Lease said. What a hand writes, it may.
func (w *World) checkLedgerWrite(c Change) {
	if w.Checks.beyond || !w.ledgers || c.renews() {
		return
	}
	name := c.name()
	shard, ours := strings.CutPrefix(name, Group+".")
	if !ours || strings.HasPrefix(shard, "member-") || name == lease.LayoutLeaseName(Group) {
		return
	}
	b, r := w.book(shard), w.writing
	switch {
	case c.After == nil:
		switch was := lease.DecodeShard(c.Before); {
		case was.Claimed:
			b.left, b.owed = was.Ledger, was.Ledger
		case was.Ledger != "" && (b.owed == "" || broughtFrom(c.Before) == 0):
			b.owed = was.Ledger // of a backup
		}
	case r == nil:
	case c.Before == nil:
		w.checkMadeAnew(r, b, lease.DecodeShard(c.After))
	default:
		was, is := lease.DecodeShard(c.Before), lease.DecodeShard(c.After)
		w.checkChangedBy(r, b, was, is, broughtFrom(c.Before) == 0)
		if w.scheduled(shard) && !was.Claimed && is.Claimed {
			w.schedules.began(is, b.restarted)
		} else if w.scheduled(shard) && was.Claimed && was.Ledger != is.Ledger {
			w.schedules.wrote(r, was, is)
		}
	}
}

// renews tells whether a change leaves the holder, and what is on record, as they were:
// most do.
func (c Change) renews() bool {
	if c.Before == nil || c.After == nil {
		return false
	}
	was, is := c.Before.Annotations, c.After.Annotations
	return ptr.Equal(c.Before.Spec.HolderIdentity, c.After.Spec.HolderIdentity) &&
		ptr.Equal(c.Before.Spec.LeaseTransitions, c.After.Spec.LeaseTransitions) &&
		was[lease.AnnotationClaimed] == is[lease.AnnotationClaimed] && was[lease.AnnotationLedger] == is[lease.AnnotationLedger]
}

// name is that of the Lease which was changed.
func (c Change) name() string {
	if c.After != nil {
		return c.After.Name
	}
	return c.Before.Name
}

// checkMadeAnew says that whoever makes a Lease anew brings what it has seen of the last.
func (w *World) checkMadeAnew(r *Replica, b *book, made lease.Shard) {
	if b.owed != "" && r.saw.texts[made.Name].text == b.owed && made.Ledger != b.owed {
		w.violatef(r, "ledger", "%s is made anew with %q on record, and had %q", made.Name, made.Ledger, b.owed)
	}
}

// checkChangedBy says so of an update by a replica. What a hand has put on record in a
// Lease that was never claimed stays.
func (w *World) checkChangedBy(r *Replica, b *book, was, is lease.Shard, byHand bool) {
	byHand = byHand && was.Ledger != ""
	switch {
	case !was.Claimed && is.Claimed:
		w.checkFirstClaim(r, b, was, is, byHand)
	case !was.Claimed && !byHand && is.Ledger == r.saw.texts[was.Name].text: // it has seen more than whoever made it
	case was.UID == b.term.UID && was.Epoch == b.term.Epoch && r.isHolder(was) && (is.Holder != was.Holder || is.Epoch > was.Epoch):
		w.checkGivenWith(r, b, was, is)
	case was.Ledger == is.Ledger:
	case was.UID != b.term.UID || was.Epoch != b.term.Epoch || is.Epoch != was.Epoch || !r.isHolder(was):
		w.violatef(r, "ledger", "%s, held by %q at epoch %d, is written over with %q", was.Name, was.Holder, was.Epoch, is.Ledger)
	case !slices.Contains(b.texts[b.confirmed:], is.Ledger):
		w.violatef(r, "ledger", "%s says %q at epoch %d, of which the term wanted %q", was.Name, is.Ledger, is.Epoch, b.texts[b.confirmed:])
	}
}

// isHolder tells whether a Lease names a session of this process.
func (r *Replica) isHolder(s lease.Shard) bool {
	holder, err := lease.ParseIdentity(s.Holder)
	return err == nil && holder.Replica == r.Process
}

// checkFirstClaim says that what a hand has put on record stays there when a Lease is
// claimed for the first time, and that it gets what its claimant has seen if that is more
// than it has.
func (w *World) checkFirstClaim(r *Replica, b *book, was, is lease.Shard, byHand bool) {
	known := r.saw.texts[was.Name].text
	switch {
	case is.Ledger == was.Ledger && (byHand || b.owed == "" || known != b.owed || is.Ledger == b.owed):
	case byHand:
		w.violatef(r, "ledger", "%s has %q on record, and is claimed with %q", was.Name, was.Ledger, is.Ledger)
	case b.owed != "" && known == b.owed && is.Ledger != b.owed:
		w.violatef(r, "ledger", "%s is claimed with %q, and had %q on record", was.Name, is.Ledger, b.owed)
	case is.Ledger != known:
		w.violatef(r, "ledger", "%s is claimed with %q; the last that was seen is %q", was.Name, is.Ledger, known)
	}
	restarted := is.Ledger != b.left
	b.restarted = b.restarted || restarted // no term may have begun since the last time
	switch {
	case restarted:
		w.Checks.Ledger.Lost++
	case b.left != "":
		w.Checks.Ledger.Carried++
	}
}

// checkGivenWith says that a write by which the holder gives its shard away, or claims it
// anew, brings its last word, if there is one, and else nothing new.
func (w *World) checkGivenWith(r *Replica, b *book, was, is lease.Shard) {
	if b.passed && w.scheduled(b.term.Family) {
		w.schedules.given[keyOf(b.term)] = true
	}
	switch last := b.last; {
	case last != nil && is.Ledger == *last:
		w.Checks.Ledger.LastWords++
	case last != nil && b.passed:
		w.violatef(r, "ledger", "%s is given away at epoch %d with %q on record; the last word is %q", was.Name, was.Epoch, is.Ledger, *last)
	case is.Ledger != was.Ledger:
		w.violatef(r, "ledger", "%s is given away at epoch %d with %q on record, which had %q", was.Name, was.Epoch, is.Ledger, was.Ledger)
	}
}

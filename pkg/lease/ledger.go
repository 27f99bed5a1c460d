// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"strconv"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
)

// MaxLedger bounds, in bytes, what a ledger can say.
const MaxLedger = 4 << 10

// maxLedgers bounds how many ledgers of deleted Leases are remembered.
const maxLedgers = 2 * MaxShards

// decodeLedger reads a ledger. What is too long is none of ours, and is cut off rather
// than left out: no work must think that it has nothing on record.
func decodeLedger(text string) string { return text[:min(len(text), MaxLedger)] }

// ledger is what a term's work has on record in the shard's Lease. Whoever holds the
// shard writes it, by compare-and-swap like everything else in that Lease: so once an
// entry is there, whoever holds the shard later begins with it, and an entry that comes
// too late is refused.
type ledger struct {
	entry   uint64   // the [Enter] that is to be carried out; 0 if none is
	text    string   // what it is to say
	entries attempts // to carry it out: any of them may be in the record, or come there still
	// last, if set, is the last word of the term whose epoch lastOf is: it goes into the
	// write that gives the shard away, however often that has to be repeated.
	last   *string
	lastOf endedTerm
	// reminded is the Lease into which this replica has tried to bring what it has seen
	// of the one before.
	reminded types.UID
}

// enter takes in that the work wants something on record.
func (e *Election) enter(ev Enter) {
	c := e.claims[ev.Term.Shard]
	if c == nil || c.phase == idle || c.term.UID != ev.Term.UID || c.term.Epoch != ev.Term.Epoch || c.drained || len(ev.Text) > MaxLedger {
		e.emit(Entered{ID: ev.ID})
		return
	}
	e.dropEntry(c)
	c.entry, c.text, c.entries = ev.ID, ev.Text, attempts{}
}

// dropEntry gives up an entry that is not known to be in the record.
func (e *Election) dropEntry(c *claim) {
	if c.entry != 0 {
		e.emit(Entered{ID: c.entry})
	}
	c.entry, c.text = 0, ""
}

// confirmEntry looks whether the entry is in the record, which names the term: by the
// number of the attempt, for what the record says may be older than an entry that was
// given up, and comes there still.
func (e *Election) confirmEntry(c *claim, known *entry) {
	if _, sent := c.entries.find(known.shard.Attempt); c.entry != 0 && sent {
		e.emit(Entered{ID: c.entry, OK: true})
		c.entry, c.text = 0, ""
	}
}

// writeEntry sends the entry, if there is one and the Lease is free; it tells whether
// it has sent anything. In lease mode that renews the term as well.
func (e *Election) writeEntry(c *claim, known *entry) bool {
	if c.entry == 0 || !e.free(known.lease.Name) {
		return false
	}
	if c.term.Mode == LeaseMode {
		e.sendRenewal(c, known, "enter")
		return true
	}
	op := Op{Verb: Update, Name: known.lease.Name, Lease: known.lease.DeepCopy(), Why: "enter"}
	op.Lease.Annotations = annotate(op.Lease.Annotations, map[string]string{AnnotationAttempt: e.nextAttempt()})
	c.withEntry(e.now, op.Lease)
	e.send(op, nil)
	return true
}

// withEntry brings the entry, if there is one, into what is about to be written for the
// term, which has the number of an attempt.
func (c *claim) withEntry(now Instant, l *coordinationv1.Lease) {
	if c.entry == 0 {
		return
	}
	c.entries.add(l.Annotations[AnnotationAttempt], now)
	l.Annotations = annotate(l.Annotations, map[string]string{AnnotationLedger: c.text})
}

// leave keeps the last word of a term that has drained, unless a later one has, too.
func (c *claim) leave(t Term, text *string) {
	of := endedTerm{uid: t.UID, epoch: t.Epoch}
	if text == nil || len(*text) > MaxLedger || c.lastOf.uid == of.uid && c.lastOf.epoch > of.epoch {
		return
	}
	c.last, c.lastOf = text, of
}

// lastWord brings the last word of a term into the write that gives its shard away, or
// that claims it anew for this replica: as long as the record tells of that term, nobody
// has gone by what the ledger said at its end.
func (c *claim) lastWord(known *entry, l *coordinationv1.Lease) {
	if c.last != nil && c.lastOf == (endedTerm{uid: known.shard.UID, epoch: known.shard.Epoch}) && known.shard.Holder != "" {
		l.Annotations = annotate(l.Annotations, map[string]string{AnnotationLedger: *c.last})
	}
}

// keptLedger is what a Lease had on record that is there no more.
type keptLedger struct {
	text string
	asOf uint64 // resourceVersion of that Lease
}

// keepLedger remembers what a Lease had on record that is there no more: somebody has
// deleted it, perhaps, and the shard goes on in the next one of its name.
func (v *view) keepLedger(known *entry) {
	kept := keptLedger{text: known.shard.Ledger, asOf: cmp.Or(known.shard.ledgerAsOf, known.rv)}
	if kept.text == "" || kept.asOf < v.ledgers[known.lease.Name].asOf {
		return
	}
	if len(v.ledgers) >= maxLedgers {
		clear(v.ledgers)
	}
	v.ledgers[known.lease.Name] = kept
}

// restoreLedger brings what the last Lease of the name had on record into one that was
// never claimed: if that has nothing, or what somebody brought there who had seen less of
// the last one. It tells whether it did. What a hand has written stays.
func (v *view) restoreLedger(l *coordinationv1.Lease) bool {
	kept := v.ledgers[l.Name]
	has, asOf := l.Annotations[AnnotationLedger], parseRV(l.Annotations[AnnotationLedgerAsOf])
	if kept.text == has || has != "" && (asOf == 0 || kept.asOf <= asOf) {
		return false
	}
	l.Annotations = annotate(l.Annotations, map[string]string{
		AnnotationLedger: kept.text, AnnotationLedgerAsOf: strconv.FormatUint(kept.asOf, 10),
	})
	return true
}

// remind brings what this replica has seen of the last Lease of a shard into one that
// waits for its first claim: whoever has made that, or claims it, may have seen less. It
// tells whether it has sent anything. If that is refused, or has no effect, it is not
// tried again: the claim must not wait for it.
func (e *Election) remind(c *claim, known *entry) bool {
	if known.shard.Claimed || known.shard.Holder != "" || c.reminded == known.shard.UID {
		return false
	}
	if _, kept := e.view.ledgers[known.lease.Name]; !kept {
		return false
	}
	op := Op{Verb: Update, Name: known.lease.Name, Lease: known.lease.DeepCopy(), Why: "remind"}
	if !e.view.restoreLedger(op.Lease) {
		return false
	}
	e.send(op, func(r Replied) {
		if r.Outcome == OK || r.Outcome == Rejected {
			c.reminded = op.Lease.UID
		}
	})
	return true
}

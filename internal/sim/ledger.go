// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// LedgerCounts are what was done to ledgers.
type LedgerCounts struct {
	Asked     int // entries
	Entered   int // that are known to be in the record
	Failed    int // that are not known to be
	LastWords int // written together with what gave the shard away
	Carried   int // from a Lease that was deleted into the next of its name
	Lost      int // with a Lease that was deleted, or written over by a hand
}

func (c *LedgerCounts) add(other LedgerCounts) {
	c.Asked += other.Asked
	c.Entered += other.Entered
	c.Failed += other.Failed
	c.LastWords += other.LastWords
	c.Carried += other.Carried
	c.Lost += other.Lost
}

func (c LedgerCounts) String() string {
	return fmt.Sprintf("%d entries asked for, %d confirmed, %d not; %d last words; carried over to the next Lease %d times, lost with one by hand %d times",
		c.Asked, c.Entered, c.Failed, c.LastWords, c.Carried, c.Lost)
}

// missing says what never happened to a ledger.
func (c LedgerCounts) missing() []string {
	var missing []string
	for _, one := range []struct {
		n    int
		what string
	}{
		{c.Entered, "an entry in a ledger"},
		{c.Failed, "an entry that failed"},
		{c.LastWords, "a last word in a ledger"},
		{c.Carried, "a ledger carried over to the next Lease"},
		{c.Lost, "a ledger lost by a hand"},
	} {
		if one.n == 0 {
			missing = append(missing, one.what)
		}
	}
	return missing
}

// book is what must be true of the ledger of one shard.
type book struct {
	// term is the one that began last. texts are what it began with, and what it wanted
	// on record since, in this order; those before confirmed are gone for good.
	term      lease.Term
	texts     []string
	confirmed int
	last      *string // its last word, if it left one
	passed    bool    // it has given the shard away
	// left is what the Lease had on record that was claimed last, and has been deleted.
	// owed is what was there last, in one that a hand restored perhaps: whoever has
	// seen that brings it into the next Lease.
	left, owed string
	// restarted: what the present Lease was claimed with is not what was left. Nobody
	// who had seen that was there, or a hand wrote something else.
	restarted bool
}

// awaited is an entry that has not been answered.
type awaited struct {
	r     *Replica
	term  lease.Term
	text  string
	nth   int    // of the texts of its term
	since uint64 // resourceVersion when it was asked for
}

// book is that of a shard.
func (w *World) book(shard string) *book {
	b := w.Checks.books[shard]
	if b == nil {
		b = &book{texts: []string{""}}
		w.Checks.books[shard] = b
	}
	return b
}

// noteLedger takes in what a machine learns, and what it is asked for.
func (w *World) noteLedger(r *Replica, ev lease.Event) {
	if w.Checks.beyond || !w.ledgers {
		return
	}
	r.saw.sees(ev)
	switch ev := ev.(type) {
	case lease.Enter:
		b := w.book(ev.Term.Shard)
		w.Checks.Ledger.Asked++
		one := awaited{r: r, term: ev.Term, text: ev.Text, since: w.Server.rv}
		if keyOf(b.term) == keyOf(ev.Term) {
			b.texts = append(b.texts, ev.Text)
			one.nth = len(b.texts) - 1
		}
		w.Checks.awaited[ev.ID] = one
	case lease.Drained:
		if b := w.book(ev.Term.Shard); keyOf(b.term) == keyOf(ev.Term) && ev.Ledger != nil {
			b.last = ev.Ledger
		}
	default:
	}
}

// checkLedger says what must be true of the ledger when a machine decides: at that
// instant nobody else can have a valid term (G1), nor have had one since.
func (w *World) checkLedger(r *Replica, effect lease.Effect) {
	if w.Checks.beyond || !w.ledgers {
		return
	}
	switch e := effect.(type) {
	case lease.Granted:
		w.checkBeginsWith(r, e.Term)
	case lease.Entered:
		w.checkEntered(r, e)
	case lease.Passed:
		if b := w.book(e.Term.Shard); keyOf(b.term) == keyOf(e.Term) {
			b.passed = true
		}
	default:
	}
}

// checkBeginsWith says that a term begins with what the last one had entered last, or
// with something newer which that one wanted on record: nothing older, and nothing of any
// earlier term.
func (w *World) checkBeginsWith(r *Replica, t lease.Term) {
	b := w.book(t.Shard)
	allowed := slices.Clone(b.texts[b.confirmed:])
	if b.last != nil {
		allowed = append(allowed, *b.last)
	}
	if !b.restarted && !slices.Contains(allowed, t.Ledger) {
		w.violatef(r, "ledger", "%s begins at epoch %d with %q, the last one left one of %q", t.Shard, t.Epoch, t.Ledger, allowed)
	}
	*b = book{term: t, texts: []string{t.Ledger}, left: b.left, owed: b.owed}
}

// checkEntered says that an entry which is confirmed was written, after it was asked for,
// by its own term.
func (w *World) checkEntered(r *Replica, e lease.Entered) {
	one, asked := w.Checks.awaited[e.ID]
	if !asked {
		w.violatef(r, "ledger", "entry %d is answered, and was not asked for, or was answered before", e.ID)
		return
	}
	delete(w.Checks.awaited, e.ID)
	if !e.OK {
		w.Checks.Ledger.Failed++
		return
	}
	w.Checks.Ledger.Entered++
	b := w.book(one.term.Shard)
	if keyOf(b.term) != keyOf(one.term) {
		w.violatef(r, "ledger", "an entry of epoch %d of %s is confirmed in epoch %d", one.term.Epoch, one.term.Shard, b.term.Epoch)
		return
	}
	if !w.Server.entered(one) {
		w.violatef(r, "ledger", "entry %q of %s is confirmed, and has not been in the record", one.text, one.term.Shard)
	}
	b.confirmed = max(b.confirmed, one.nth)
}

// entered tells whether a text came into the record of its term since it was asked for.
func (s *Server) entered(one awaited) bool {
	for i := len(s.history) - 1; i >= 0 && s.history[i].RV > one.since; i-- {
		after := s.history[i].After
		if after == nil || after.Name != lease.ShardLeaseName(Group, one.term.Shard) {
			continue
		}
		if known := lease.DecodeShard(after); known.Ledger == one.text && known.UID == one.term.UID && known.Epoch == one.term.Epoch {
			return true
		}
	}
	return false
}

// answeredWithin is how long an entry takes where nothing fails.
const answeredWithin = time.Second

// checkAnswered says that every entry which is asked for is answered: once nothing fails
// any more, none is waited for, at some instant at least.
func (w *World) checkAnswered() {
	if !w.Until(answeredWithin, func() bool { return len(w.waiting()) == 0 }) && w.Checks.Violation == nil {
		w.violatef(nil, "ledger", "not answered: %s", strings.Join(w.waiting(), "; "))
	}
}

// waiting are the entries of processes that live which have not been answered.
func (w *World) waiting() []string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(w.Checks.awaited)) {
		if one := w.Checks.awaited[id]; !one.r.Gone {
			all = append(all, fmt.Sprintf("entry %d of %s at epoch %d, by %s", id, one.term.Shard, one.term.Epoch, one.r.Name))
		}
	}
	return all
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strconv"

	"github.com/shardctl/shardctl/pkg/lease"
)

// scribes are what the work of some terms does besides: it keeps numbers in the ledger of
// its shard, mostly rising, sometimes one of its own again, sometimes two at a time.
type scribes struct {
	source
	interval Span
	// families are those whose terms do, which are in one piece.
	families map[string]bool
	number   int // of the newest entry
}

const (
	// shareWithLedgers of the histories have families with something on record.
	shareWithLedgers = 0.4
	// ledgerSource tells this source of chance from others: without ledgers, all else
	// draws the same.
	ledgerSource = 1<<28 + 1
)

// keepLedgers lets the work of some families keep a ledger, or of none.
func (h *History) keepLedgers() {
	w := h.World
	s := &scribes{source: w.source(ledgerSource), families: map[string]bool{}}
	if !s.chance(shareWithLedgers) {
		return
	}
	s.interval = Span{0, h.chaos.scale / 2}
	for _, spec := range w.Config.Shards {
		if spec.Buckets == 0 && !w.scheduled(spec.Name) && s.chance(0.7) {
			s.families[spec.Name] = true
		}
	}
	w.scribes, w.ledgers = s, true
}

// keepsLedger tells whether the work of a family does.
func (s *scribes) keepsLedger(family string) bool { return s != nil && s.families[family] }

// keepRecords makes entries for as long as the term works, until the faults heal.
func (w *tenure) keepRecords() {
	s := w.r.w.scribes
	if !s.keepsLedger(w.held.Family) {
		return
	}
	w.r.after(s.interval.draw(s.rng), func() {
		if w.drained || w.r.w.healedAt > 0 {
			return
		}
		w.enter(s.next(w))
		if s.chance(0.1) {
			w.enter(s.next(w)) // the one before may not have got its turn
		}
		w.keepRecords()
	})
}

// next is what to enter: a new number, or one of the term's earlier ones.
func (s *scribes) next(w *tenure) string {
	if len(w.entered) > 0 && s.chance(0.3) {
		return w.entered[s.rng.IntN(len(w.entered))]
	}
	s.number++
	text := strconv.Itoa(s.number)
	w.entered = append(w.entered, text)
	return text
}

func (w *tenure) enter(text string) {
	w.r.w.asked++
	w.r.Deliver(lease.Enter{ID: w.r.w.asked, Term: w.held.Term, Text: text})
}

// lastWord is what the work of a term leaves on record when it has ended, if anything.
func (w *tenure) lastWord() *string {
	if w.duty != nil {
		return w.duty.last
	}
	s := w.r.w.scribes
	if !s.keepsLedger(w.held.Family) || !s.chance(0.5) {
		return nil
	}
	text := s.next(w)
	return &text
}

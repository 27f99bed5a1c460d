// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"

	"github.com/shardctl/shardctl/pkg/lease"
)

// ErrNotEntered is returned by [Term.Enter] if it is not known that the entry is on
// record.
var ErrNotEntered = lease.ErrNotEntered

// enterFunc writes the ledger of a term's shard.
type enterFunc func(ctx context.Context, t lease.Term, text string) error

// Ledger is what the work of the shard has on record, as it was when the term began: what
// the last holder left there with [Term.Enter] or [Term.Leave]. What is entered in the
// term itself does not change it: work that is begun again in one term has to remember
// that. It is an annotation of the shard's Lease, so anybody who may read that reads it,
// and whoever may write it can change it.
func (t *Term) Ledger() string { return t.record.Ledger }

// Enter replaces what is on record, by at most [lease.MaxLedger] bytes: one request to the
// API server, by compare-and-swap on the very Lease that says who holds the shard. It
// returns nil once the entry is there, and then whoever holds the shard after this term
// begins with it, or with a later one; so work that is claimed before it is begun is not
// begun twice. Until then it goes on trying.
//
// On [ErrNotEntered] the entry may be on record or not: the term is over, or ctx is done,
// or another call came in the meantime.
func (t *Term) Enter(ctx context.Context, text string) error {
	if t.enter == nil {
		return errors.Join(ErrNotEntered, errors.New("the term is not one of a group"))
	}
	before := t.words()
	if err := t.enter(ctx, t.record, text); err != nil {
		return err
	}
	t.entered(before)
	return nil
}

// Leave says what is to be on record when the shard is handed over, in the very request
// that does so. If the term ends otherwise it is lost, unless this replica gets the shard
// back before anybody else does. The last call counts; it has to come before the work
// returns. What is longer than [lease.MaxLedger] is left out.
func (t *Term) Leave(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = &text
	t.left++
}

// words counts the calls of Leave.
func (t *Term) words() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.left
}

// entered: what Leave was given before the entry was made is not the last word any more.
func (t *Term) entered(before int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left == before {
		t.last = nil
	}
}

// lastWord is what Leave was given; nil if it was not called.
func (t *Term) lastWord() *string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

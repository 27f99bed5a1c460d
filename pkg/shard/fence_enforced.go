// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !shardctl_nofence

package shard

import "context"

// entitled returns the term that a write is sent in, nil if it is [Unfenced], or
// why it must not be sent. A term that is returned counts the write.
func entitled(ctx context.Context) (*Term, error) {
	term, ok := TermFrom(ctx)
	switch {
	case !ok && ctx.Value(unfencedKey) != nil:
		return nil, nil
	case !ok:
		return nil, ErrNoTerm
	case !term.Valid():
		return nil, ErrTermOver
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !term.sending():
		return nil, ErrTermOver
	}
	return term, nil
}

// atEnd calls cut when the term of a write is over, unless stopped.
func atEnd(t *Term, cut func()) (stop func()) { return t.whenOver(cut) }

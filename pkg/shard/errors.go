// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
)

// Why a term ended, or a write was not sent. They are what context.Cause says
// of a reconcile's context, and what errors.Is finds in the error of a write
// that the fence refused.
var (
	// ErrHandedOver: the shard goes to another replica, and the work had its
	// grace to end by itself.
	ErrHandedOver = errors.New("the shard is being handed over")
	// ErrTermOver: the term is over; another replica may hold the shard.
	ErrTermOver = errors.New("the term is over")
	// ErrNoTerm: a write whose context carries no term. Use the context that
	// the reconcile got, or [Unfenced] where the write belongs to no shard.
	ErrNoTerm = errors.New("a write outside of any term")
)

// WriteError is a write that the fence did not send, or did not see the end of.
// errors.Is finds in it why: [ErrNoTerm], [ErrTermOver], or what the caller's
// context ended with.
type WriteError struct {
	// Method and Path are those of the request.
	Method, Path string
	// Shard and Epoch say in which term it was; Shard is empty if in none.
	Shard string
	Epoch int32
	// Sent tells that the API server may have got it, and may have carried it out
	// or do so yet. If it is false, nothing has left this process.
	Sent bool
	// Err is why.
	Err error
}

// Error says what became of the write, and why.
func (e *WriteError) Error() string {
	fate := "was not sent"
	if e.Sent {
		fate = "was sent, and may be carried out"
	}
	term := ""
	if e.Shard != "" {
		term = fmt.Sprintf(" (shard %s, epoch %d)", e.Shard, e.Epoch)
	}
	return fmt.Sprintf("%s %s %s%s: %s", e.Method, e.Path, fate, term, e.Err)
}

// Unwrap returns Err.
func (e *WriteError) Unwrap() error { return e.Err }

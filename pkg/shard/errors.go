// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import "errors"

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

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"context"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Backend is the group whose leaders are told: see [Of]. All of it is safe for concurrent
// use, and none of it calls the endpoint.
type Backend interface {
	// Chronicle tells what becomes of the group.
	Chronicle() Chronicle
	// Holding returns the valid term that this replica has of the role now.
	Holding(role string) (Term, bool)
	// TermFrom returns the term that the context of a role's Run is for.
	TermFrom(ctx context.Context) (Term, bool)
	// Yield gives the role up, and does not take it again before the back-off has passed.
	// The error is shard.ErrNotHeld if this replica does not hold it.
	Yield(role string, backoff time.Duration) error
}

// Chronicle is a [lease.Chronicle].
type Chronicle interface {
	Standing() lease.Standing
	Since(id uint64) (changes []lease.Change, complete bool, more <-chan struct{})
}

// Term is a shard.Term.
type Term interface {
	Identity() string
	Epoch() int32
	Token() int64
	Remaining() time.Duration
}

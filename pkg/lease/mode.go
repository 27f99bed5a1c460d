// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

// Mode says what renews a shard that is held.
type Mode string

// The modes.
const (
	// SessionMode: the holder's member Lease does, for all its shards at once.
	// A shard Lease is written only when the shard changes hands.
	SessionMode Mode = "session"
	// LeaseMode: every shard Lease is renewed by itself, by the standard rules,
	// so that electors which know nothing of sessions can contend for it.
	LeaseMode Mode = "lease"
)

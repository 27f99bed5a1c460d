// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

// What the tests that drive whole groups, in package lease_test, look at inside
// of a machine.

const (
	BuryAfter     = buryAfter
	AnnotationHow = annotationHow
)

// TransferOp is the request by which this replica gives a shard away as its view
// is now, sent or not.
func (e *Election) TransferOp(shard, to string) Op {
	return e.holderOp(e.claims[shard], e.shardEntry(shard), to, "a transfer from before")
}

// Planned is who should hold the shard now.
func (e *Election) Planned(shard string) string { return e.plan()[shard] }

// Successor is who the shard is being drained for.
func (e *Election) Successor(shard string) string { return e.claims[shard].successor }

// Retries is how many Leases a back-off is remembered of.
func (e *Election) Retries() int { return len(e.retry) }

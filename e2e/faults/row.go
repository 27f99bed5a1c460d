// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"time"
)

// Row is what all runs of one kind of fault have shown.
type Row struct {
	Kind Kind
	Runs int
	// Writes are all that the replicas' service account has done to objects and children.
	Writes int
	// TakeOvers are the changes of a shard's holder to another session.
	TakeOvers int
	// RefusedLocally and RefusedByServer are how many writes the fences have refused.
	RefusedLocally, RefusedByServer int
	// Overlapping are writes of who did not hold the shard.
	Overlapping int
	// Unreconciled are the objects that were not as they had to be by the limit, and Unsettled the runs after which anything was
	// not: they have such objects, or shards that nobody held.
	Unreconciled, Unsettled int
	// Unattributed are writes of which nothing says who made them; ByOwnWord are those of which only the object does.
	Unattributed, ByOwnWord int
	// Gaps are, per shard taken over, from the last write of the one to the first of the other.
	Gaps []time.Duration
}

func (r *Row) add(other Row) {
	r.Runs += other.Runs
	r.Writes += other.Writes
	r.TakeOvers += other.TakeOvers
	r.RefusedLocally += other.RefusedLocally
	r.RefusedByServer += other.RefusedByServer
	r.Overlapping += other.Overlapping
	r.Unreconciled += other.Unreconciled
	r.Unsettled += other.Unsettled
	r.Unattributed += other.Unattributed
	r.ByOwnWord += other.ByOwnWord
	r.Gaps = append(r.Gaps, other.Gaps...)
}

// Err says what is wrong with the row: what must not have happened, and what must have or else nothing is proved.
//
// Every kind has to take shards over, for the first run of each lasts long enough to end a session. Where processes stop and go
// on in the middle of their writes, the local fence has to have refused some; where there is none, the API server. Of the
// control, the oracle has to have found overlapping writes: it would find none of ours either if it were blind.
func (r Row) Err() error {
	var errs []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(r.Kind.Name+": "+format, args...))
		}
	}
	must(r.Runs > 0, "there was no run")
	must(r.Writes > 0, "no write of any replica was seen: nothing is proved")
	must(r.TakeOvers > 0, "no shard was taken over: nothing is proved")
	must(r.Unattributed == 0, "%d writes are nobody's: the oracle cannot judge them", r.Unattributed)
	if r.Kind.Control {
		must(r.Overlapping > 0, "no overlapping write was found, where nothing prevents them: the oracle is blind")
		return errors.Join(errs...)
	}
	must(r.Overlapping == 0, "%d overlapping writes", r.Overlapping)
	must(r.Unsettled == 0, "%d runs after which %d objects were not reconciled, or shards not held", r.Unsettled, r.Unreconciled)
	must(!r.Kind.refusedLocally || r.RefusedLocally > 0, "no write was refused locally: nothing is proved")
	must(!r.Kind.NoLocalFence || r.RefusedByServer > 0, "no write was refused by the API server: nothing is proved")
	return errors.Join(errs...)
}

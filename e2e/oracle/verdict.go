// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Verdict is what a window of a history shows.
type Verdict struct {
	// Writes are those of replicas that were judged.
	Writes int
	// ByOwnWord and ByRequest are those of them whose writer no answer in the audit log tells.
	ByOwnWord, ByRequest int
	// Refused is how many the fence in the API server has refused, and RefusedOf of whom, of which type.
	Refused   int
	RefusedOf map[Refused]int
	// RefusedLocally is for the caller to fill in, from the replicas' metrics: the oracle sees nothing of it.
	RefusedLocally int
	// Overlapping are writes of replicas that did not hold the shard.
	Overlapping []Overlap
	// Unattributed are writes of which nothing tells whose they were.
	Unattributed []Write
	TakeOvers    []TakeOver
	// WriteGaps are, per take-over after which the new holder has written, from the last write of a holder before it.
	WriteGaps []Gap
	// HolderGaps are, per shard that was taken over since the fault, from the fault until the Lease first named another.
	HolderGaps []Gap
	// Unreconciled are the objects that are not settled at the end of the window, longest first.
	Unreconciled []Unreconciled
}

// Refused is whose writes of which type were refused.
type Refused struct {
	Pod      types.UID
	Resource schema.GroupResource
}

// Overlap is a write of a replica that did not hold the shard.
type Overlap struct {
	Write Write
	// Shard is the one that somebody else held. If nobody did it is the one given up last; empty if there was none.
	Shard  string
	Holder string
	// HolderSince is the revision since when, and HeldFor how long before the write.
	HolderSince int64
	HeldFor     time.Duration
}

// Gap is how long it took.
type Gap struct {
	TakeOver
	Length time.Duration
}

// Unreconciled is an object that has not got what it wants.
type Unreconciled struct {
	Key      Key
	UID      types.UID
	Revision int64 // of the first version since when it is so
	Since    time.Time
	For      time.Duration // until the end of the window
}

func overlapOf(w Write, r *reign) Overlap {
	o := Overlap{Write: w}
	if r != nil {
		o.Shard, o.Holder, o.HolderSince = r.shard, r.holder, r.since.Revision
		if !r.since.At.IsZero() {
			o.HeldFor = w.At.Sub(r.since.At)
		}
	}
	return o
}

// String is for people.
func (o Overlap) String() string {
	verb := "wrote"
	if o.Write.Deleted {
		verb = "deleted"
	}
	return fmt.Sprintf("revision %d: %s (%s) %s %s, known %s, while shard %q was held by %q, since revision %d, %s before",
		o.Write.Revision, o.Write.Writer.PodName, o.Write.Writer.Pod, verb, o.Write.Key, o.Write.Evidence, o.Shard, o.Holder, o.HolderSince, o.HeldFor)
}

// String is for people.
func (u Unreconciled) String() string {
	return fmt.Sprintf("%s (%s) has not been reconciled since revision %d, for %s", u.Key, u.UID, u.Revision, u.For)
}

// maxListed bounds how many of a kind an error lists.
const maxListed = 10

// Err says what should not have happened: overlapping and unattributed writes, and objects left unreconciled.
func (v Verdict) Err() error {
	return errors.Join(
		listed(v.Overlapping, "writes of a replica that did not hold the shard", Overlap.String),
		listed(v.Unattributed, "writes that nobody can be said to have made", func(w Write) string {
			return fmt.Sprintf("revision %d: %s", w.Revision, w.Key)
		}),
		listed(v.Unreconciled, "objects that were not reconciled", Unreconciled.String),
	)
}

func listed[T any](all []T, what string, say func(T) string) error {
	if len(all) == 0 {
		return nil
	}
	lines := []string{fmt.Sprintf("%d %s:", len(all), what)}
	for _, one := range all[:min(len(all), maxListed)] {
		lines = append(lines, "  "+say(one))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// ErrNothingProved is that a window shows nothing, however right everything in it was.
var ErrNothingProved = errors.New("nothing is proved")

// Proved fails if there was nothing to see: no write, no take-over, no write that a fence refused.
func (v Verdict) Proved() error {
	var errs []error
	must := func(n int, what string) {
		if n == 0 {
			errs = append(errs, fmt.Errorf("%w: %s", ErrNothingProved, what))
		}
	}
	must(v.Writes, "no replica wrote anything")
	must(len(v.TakeOvers), "no shard was taken over")
	must(v.Refused+v.RefusedLocally, "no write was refused")
	return errors.Join(errs...)
}

// Lengths are those of gaps.
func Lengths(of []Gap) []time.Duration {
	all := make([]time.Duration, len(of))
	for i, g := range of {
		all[i] = g.Length
	}
	return all
}

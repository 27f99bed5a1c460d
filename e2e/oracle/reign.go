// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/lease"
)

// reign is what the Lease of a shard says now, and has said.
type reign struct {
	shard  string
	rule   *TypeRule
	bucket lease.Bucket

	holder string // empty if it has none or abstains
	pod    types.UID
	since  Write // the write that made it so
	left   time.Time

	// last is who held it last, other than nobody, and given whether that one gave it away.
	last  string
	given bool
	// wrote is when a holder last wrote something of the shard; zero if none has.
	wrote time.Time
	// awaits is the take-over since when the new holder has written nothing.
	awaits *TakeOver
}

// TakeOver is a change of a shard's holder to another session.
type TakeOver struct {
	Shard    string
	From, To string // holders
	Revision int64
	At       time.Time
	// Given says that the former holder gave it away; else it was taken.
	Given bool
}

// follow takes what the Lease says now, and returns the take-over that this is, if it is one.
func (r *reign) follow(w Write, podOf func(string) types.UID) *TakeOver {
	said := Lease{}
	if !w.Deleted {
		said = *w.Object.Lease
	}
	if r.bucket.Of > 0 {
		r.bucket.By = cmp.Or(said.Partition, r.rule.Partition, lease.ByUID)
	}
	holder := said.Holder
	if said.Abstains {
		holder = ""
	}
	gaveWord := !said.Left.IsZero() && !said.Left.Equal(r.left)
	r.left = said.Left
	if holder == r.holder {
		return nil
	}
	pod := types.UID("")
	if holder != "" {
		pod = podOf(holder)
	}
	if r.holder != "" {
		r.last = r.holder
		r.given = w.Writer.Pod == r.pod && pod != r.pod
		if w.Evidence == Nobody {
			r.given = gaveWord
		}
	}
	r.holder, r.pod, r.since = holder, pod, w
	if holder == "" || r.last == "" || r.last == holder {
		return nil
	}
	return &TakeOver{Shard: r.shard, From: r.last, To: holder, Revision: w.Revision, At: w.At, Given: r.given}
}

// has says whether something is in the shard.
func (r *reign) has(s subject) bool {
	return r.rule == s.rule && (r.bucket.Of == 0 || r.bucket.Contains(r.bucket.By.Position(s.uid, s.namespace, s.name)))
}

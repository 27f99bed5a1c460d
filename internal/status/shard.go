// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Shard is one shard.
type Shard struct {
	Name string `json:"name"`
	// Resource is the type, as resource.group; empty for a role.
	Resource string `json:"resource"`
	// Bucket is which part of the type it is, as i-of-n; empty for all of it.
	Bucket string `json:"bucket"`
	// Holder is the identity of the session that holds it; empty if none does.
	Holder string `json:"holder"`
	Epoch  int32  `json:"epoch"`
	State  State  `json:"state"`
	// Since is when it last changed hands, in RFC 3339.
	Since string `json:"since"`
	// Preferred names the Pod that the shard is pinned to; empty if none.
	Preferred string `json:"preferred"`
	// Load is how many thousandths of a worker it keeps busy, as measured by its
	// holder, or else by its last one; 0 if it is idle or nobody knows.
	Load int64 `json:"load"`
	// Problem is what its holder reports to fail, or any member if nobody holds it;
	// empty if nothing.
	Problem string `json:"problem,omitempty"`
	// Kind is schedule or exec, once the ledger of such a role says what it has done:
	// Schedule or Exec then tells it. Empty for all others.
	Kind     string    `json:"kind,omitempty"`
	Schedule *Schedule `json:"schedule,omitempty"`
	Exec     *Exec     `json:"exec,omitempty"`

	// Lease is the name of the shard's Lease; empty if it has none yet, and stands
	// for all shards of a type or role that is not served.
	Lease string `json:"-"`
	// Left is when the last holder had ended all its work and given the shard away,
	// by its wall clock; zero if the shard was not given, but taken or claimed. Not in
	// JSON.
	Left time.Time `json:"-"`
	// Session: it is held for as long as its holder's session goes on, and not
	// renewed by itself. Not in JSON.
	Session bool `json:"-"`
	// Unserved: nobody holds it, and no member there is, live or not, serves its type
	// or role, so it seems that nobody is meant to. Not in JSON.
	Unserved bool `json:"-"`
}

// State of a shard.
type State string

// The states.
const (
	Held State = "held"
	// Pinned: held, by the Pod that an operator wants it on.
	Pinned State = "pinned"
	// Draining: held by a member that is to give it away. It is leaving or
	// cordoned; or the shard is pinned to a Pod that could take it, or is of a
	// layout that its family leaves.
	Draining State = "draining"
	// Unheld: nobody holds it, or the session of its holder is over.
	Unheld State = "unheld"
	// Foreign: held by an elector that is not of this group.
	Foreign State = "foreign"
)

// Active tells whether the shard is held by a session of the group.
func (s State) Active() bool { return s == Held || s == Pinned || s == Draining }

func (r *records) shard(name string, record lease.Shard, now time.Time) Shard {
	s := Shard{
		Name: name, Lease: record.Name, Resource: record.Resource, Bucket: bucketOf(name), Holder: record.Holder, Epoch: record.Epoch,
		Preferred: record.Pinned, Load: record.Load, State: r.state(name, record, now),
		Left: record.Left, Session: record.Session,
	}
	if !record.Acquired.IsZero() {
		s.Since = record.Acquired.UTC().Format(time.RFC3339)
	}
	if record.Epoch == math.MaxInt32 {
		s.Problem = "its epoch is at its end, so no further term can begin: delete Lease " + record.Name
	}
	if s.State.Active() {
		if load, reported := r.sessions[record.Holder].loads[name]; reported {
			s.Load = load
		}
	}
	s.takeLedger(record.Ledger)
	return s
}

func (r *records) state(name string, record lease.Shard, now time.Time) State {
	holder, known := r.sessions[record.Holder]
	switch {
	case record.Holder == "" || record.Epoch == math.MaxInt32:
		return Unheld
	case !record.Session && now.Sub(record.Renewed) > record.Duration:
		return Unheld // renewed by itself, in lease mode or by somebody else: not any more
	case !record.Session && !known:
		return Foreign
	case !known || !holder.Current():
		return Unheld
	case holder.State != Live || r.wantedElsewhere(name, holder.Pod, record.Pinned) || r.retiring(name, record):
		return Draining
	case record.Pinned == holder.Pod:
		return Pinned
	}
	return Held
}

// wantedElsewhere tells whether the shard is pinned to another Pod than its
// holder's, and could be handed to it.
func (r *records) wantedElsewhere(shard, holder, pinned string) bool {
	if pinned == "" || pinned == holder {
		return false
	}
	family, _ := lease.ParseShardName(shard)
	return slices.ContainsFunc(r.members, func(m *memberRecord) bool { return m.Pod == pinned && m.Takes(family) })
}

// retiring tells whether the shard is of a layout that its family leaves, now that
// the next one is prepared. Layouts that follow each other differ in their number
// of buckets.
func (r *records) retiring(shard string, record lease.Shard) bool {
	family, bucket := lease.ParseShardName(shard)
	layout := r.layout.Families[family]
	return layout.Sealing && record.Sealed < layout.Generation &&
		slices.ContainsFunc(layout.From, func(old lease.Partitioning) bool { return old.Buckets == bucket.Of })
}

// hidden tells whether the shard is none to tell about, because nobody is to hold
// it: not any more, being sealed, or not yet, while its layout is prepared.
func (r *records) hidden(shard string, record lease.Shard) bool {
	if record.Holder != "" {
		return false
	}
	family, bucket := lease.ParseShardName(shard)
	layout := r.layout.Families[family]
	return record.Sealed > 0 || len(layout.From) > 0 && !layout.Sealing && layout.Buckets == bucket.Of
}

// bucketOf is the i-of-n in a shard's name.
func bucketOf(shard string) string {
	_, bucket := lease.ParseShardName(shard)
	return bucket.String()
}

// compareShards puts bucket 2 of a family before bucket 10.
func compareShards(a, b string) int {
	familyA, bucketA := lease.ParseShardName(a)
	familyB, bucketB := lease.ParseShardName(b)
	return cmp.Or(
		cmp.Compare(familyA, familyB), cmp.Compare(bucketA.Of, bucketB.Of), cmp.Compare(bucketA.Index, bucketB.Index),
	)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import "time"

// What a stream of events sends, as JSON. This form is stable: fields are added,
// never changed. All times are in UTC, to the millisecond. Those of shards and
// heartbeats are by the wall clocks of their holders, all others by that of this
// replica, which Now tells.

// Snapshot is the first message of every stream, the event "snapshot".
type Snapshot struct {
	Group     string `json:"group"`
	Namespace string `json:"namespace"`
	// Self is the Pod of the replica that serves the stream.
	Self    string `json:"self"`
	Version string `json:"version"`
	// Started is when the replica began to follow the group: the timeline knows
	// nothing earlier.
	Started time.Time `json:"started"`
	// Now is when the message was sent.
	Now     time.Time `json:"now"`
	View    View      `json:"view"`
	Summary Summary   `json:"summary"`
	// Members are in the order of their identities.
	Members []Member `json:"members"`
	// Shards are in the order of their names and, within a type, of their buckets.
	Shards []Shard `json:"shards"`
	// Timeline has the newest entries, at most 500, oldest first.
	Timeline []Entry `json:"timeline"`
}

// Update says how the group differs from what the stream has sent before, the
// event "update". What is not mentioned is as it was.
type Update struct {
	Now     time.Time `json:"now"`
	View    View      `json:"view"`
	Summary *Summary  `json:"summary,omitempty"`
	// Members and Shards are those that are new or differ, in full. A member of which
	// only the last heartbeat is another stands in Heartbeats alone.
	Members []Member `json:"members,omitempty"`
	Shards  []Shard  `json:"shards,omitempty"`
	// MembersGone and ShardsGone are those that are not there any more, by ID and by
	// name.
	MembersGone []string `json:"membersGone,omitempty"`
	ShardsGone  []string `json:"shardsGone,omitempty"`
	// Heartbeats are the newest ones, by ID of the member.
	Heartbeats map[string]time.Time `json:"heartbeats,omitempty"`
	// Timeline has the entries since then, oldest first.
	Timeline []Entry `json:"timeline,omitempty"`
}

// View says what the replica's own view of the group is worth.
type View struct {
	State ViewState `json:"state"`
	// Newest is when the replica's watch last showed anything new: while it can
	// reach the API server it sees its own heartbeats at least. Zero if it has seen
	// nothing yet.
	Newest time.Time `json:"newest,omitzero"`
}

// ViewState is what a view is worth.
type ViewState string

// The states of a view.
const (
	// ViewWaiting: the group has not been listed yet.
	ViewWaiting ViewState = "waiting"
	// ViewCurrent: the watch shows what happens.
	ViewCurrent ViewState = "current"
	// ViewOld: the watch has shown nothing for longer than heartbeats are apart, or
	// shows something again only since a moment ago. The group is shown as it was.
	ViewOld ViewState = "old"
)

// Summary of a group.
type Summary struct {
	// Members are all whose sessions are not ended, MembersReady those of them that
	// are ready to hold shards and whose sessions go on.
	Members      int `json:"members"`
	MembersReady int `json:"membersReady"`
	// Shards are all but those that are unserved, ShardsHeld those that are held.
	Shards     int `json:"shards"`
	ShardsHeld int `json:"shardsHeld"`
	// Imbalance is by which share of the mean the most loaded member exceeds it, of
	// the ready members of the newest revision, by weight: a shard's load, and a
	// twentieth of a worker besides. 0 is even. It is the metric load_imbalance_ratio.
	Imbalance float64 `json:"imbalance"`
	// Moves is how often in the last 15 minutes a shard came to another member than
	// its last, as far as this replica has seen.
	Moves int `json:"moves"`
}

// Member is one replica's session.
type Member struct {
	// ID is the name of the member Lease, which the sessions of a replica share.
	ID       string `json:"id"`
	Identity string `json:"identity"`
	Pod      string `json:"pod"`
	// State is live, leaving, cordoned, lapsed or ended, as in shardctl status.
	State    string `json:"state"`
	Ready    bool   `json:"ready"`
	Revision int64  `json:"revision"`
	Shards   int    `json:"shards"`
	// Load is how many thousandths of a worker its shards keep busy.
	Load    int64  `json:"load"`
	Problem string `json:"problem,omitempty"`
	// Heartbeat is when it sent its last one.
	Heartbeat time.Time `json:"heartbeat,omitzero"`
}

// Shard is one shard.
type Shard struct {
	Name     string `json:"name"`
	Resource string `json:"resource,omitempty"`
	// Bucket is which part of the type it is, as i-of-n; empty for all of it.
	Bucket string `json:"bucket,omitempty"`
	// Holder is the Pod that holds it, or that its Lease still names when it is
	// unheld; Identity is the session.
	Holder   string `json:"holder,omitempty"`
	Identity string `json:"identity,omitempty"`
	Epoch    int32  `json:"epoch"`
	// State is held, pinned, draining, unheld or foreign, as in shardctl status.
	State string `json:"state"`
	// Since is when it last changed hands.
	Since time.Time `json:"since,omitzero"`
	// UnheldSince is since when this replica has seen that nobody holds it.
	UnheldSince time.Time `json:"unheldSince,omitzero"`
	// Pin is the Pod that an operator wants it on.
	Pin string `json:"pin,omitempty"`
	// Load is how many thousandths of a worker it keeps busy.
	Load    int64  `json:"load"`
	Problem string `json:"problem,omitempty"`
	// Unserved: it is unheld, and no member there is serves its type or role: it waits
	// for nobody.
	Unserved bool `json:"unserved,omitempty"`
}

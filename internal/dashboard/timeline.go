// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import "time"

// Entry of the timeline: what was seen to have happened between two looks.
type Entry struct {
	// Seq numbers the entries since the replica's start, from 1.
	Seq int64 `json:"seq"`
	// At is when this replica saw it.
	At   time.Time `json:"at"`
	Kind Kind      `json:"kind"`
	// Shard, of what has happened to a shard; From and To are Pods: who held it
	// before, and who holds it now. Epoch is that of the term that began, or has
	// ended if the shard was released.
	Shard string `json:"shard,omitempty"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	Epoch int32  `json:"epoch,omitempty"`
	// Member is the Pod, of what has happened to a member.
	Member string `json:"member,omitempty"`
	// Shards is how many shards a member held whose session lapsed or was ended.
	Shards int `json:"shards,omitempty"`
}

// Kind of an entry.
type Kind string

// What happens to shards.
const (
	HandedOver Kind = "handed-over" // given by its holder to another, after the end of all work
	TakenOver  Kind = "taken-over"  // taken by another, the session of its holder being over
	Reclaimed  Kind = "reclaimed"   // taken by a later session of the same replica
	Acquired   Kind = "acquired"    // taken when nobody was named as its holder
	Released   Kind = "released"    // given back, to nobody
	Added      Kind = "added"       // a new shard
	Removed    Kind = "removed"     // a shard that is not there any more
)

// What happens to members.
const (
	Joined     Kind = "joined"
	Rejoined   Kind = "rejoined"   // the same replica has a new session
	Leaving    Kind = "leaving"    // it hands everything over and ends
	Left       Kind = "left"       // it has done so
	Cordoned   Kind = "cordoned"   // an operator has asked that it hold nothing
	Uncordoned Kind = "uncordoned" // that was taken back
	Lapsed     Kind = "lapsed"     // no heartbeat for the LeaseDuration
	Returned   Kind = "returned"   // a session that seemed to have lapsed goes on
	Ended      Kind = "ended"      // others ended its session, or a later one of its own did
	Vanished   Kind = "vanished"   // its Lease is gone, though its session was not over
)

// timelineLength bounds the timeline.
const timelineLength = 500

// timeline keeps the newest entries.
type timeline struct {
	entries []Entry // never more than timelineLength, oldest first
	last    int64   // Seq of the newest there ever was
}

// add numbers the entries and keeps them. What was handed out before stays as it
// was.
func (t *timeline) add(at time.Time, entries []Entry) {
	if len(entries) == 0 {
		return
	}
	kept := make([]Entry, 0, len(t.entries)+len(entries))
	kept = append(append(kept, t.entries...), entries...)
	for i := len(t.entries); i < len(kept); i++ {
		t.last++
		kept[i].Seq, kept[i].At = t.last, at
	}
	t.entries = kept[max(0, len(kept)-timelineLength):]
}

// since returns those entries that are newer than one of this number.
func since(entries []Entry, seq int64) []Entry {
	if len(entries) == 0 {
		return nil
	}
	return entries[min(max(0, seq+1-entries[0].Seq), int64(len(entries))):]
}

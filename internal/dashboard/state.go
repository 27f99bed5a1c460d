// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import "time"

// state is what the page shows at a time. It is never modified.
type state struct {
	Snapshot

	// version numbers the states of a replica.
	version int64
	members map[string]Member // by ID
	shards  map[string]Shard  // by name
}

func newState(s Snapshot, version int64) *state {
	out := &state{Snapshot: s, version: version, members: make(map[string]Member, len(s.Members)), shards: make(map[string]Shard, len(s.Shards))}
	for _, m := range s.Members {
		out.members[m.ID] = m
	}
	for _, sh := range s.Shards {
		out.shards[sh.Name] = sh
	}
	return out
}

// since says how the state differs from an earlier one, but for the time of sending.
func (s *state) since(old *state) Update {
	u := Update{View: s.View, Heartbeats: map[string]time.Time{}}
	if s.Summary != old.Summary {
		u.Summary = &s.Summary
	}
	for _, m := range s.Members {
		was, known := old.members[m.ID]
		renewed := !m.Heartbeat.Equal(was.Heartbeat)
		was.Heartbeat = m.Heartbeat
		switch {
		case !known || was != m:
			u.Members = append(u.Members, m)
		case renewed:
			u.Heartbeats[m.ID] = m.Heartbeat
		}
	}
	for _, sh := range s.Shards {
		if was, known := old.shards[sh.Name]; !known || was != sh {
			u.Shards = append(u.Shards, sh)
		}
	}
	for _, m := range old.Members {
		if _, is := s.members[m.ID]; !is {
			u.MembersGone = append(u.MembersGone, m.ID)
		}
	}
	for _, sh := range old.Shards {
		if _, is := s.shards[sh.Name]; !is {
			u.ShardsGone = append(u.ShardsGone, sh.Name)
		}
	}
	u.Timeline = since(s.Timeline, old.lastEntry())
	return u
}

// lastEntry is the number of the newest one in the timeline.
func (s *state) lastEntry() int64 {
	if len(s.Timeline) == 0 {
		return 0
	}
	return s.Timeline[len(s.Timeline)-1].Seq
}

// empty tells whether a state differs from the old one in nothing but the time.
func (u Update) empty(old *state) bool {
	return u.View == old.View && u.Summary == nil && len(u.Members) == 0 && len(u.Shards) == 0 && len(u.MembersGone) == 0 &&
		len(u.ShardsGone) == 0 && len(u.Heartbeats) == 0 && len(u.Timeline) == 0
}

// complete is the snapshot as it is sent at a time, with lists where there is nothing
// to list.
func (s *state) complete(at time.Time) Snapshot {
	out := s.Snapshot
	out.Now = at
	if out.Members == nil {
		out.Members = []Member{}
	}
	if out.Shards == nil {
		out.Shards = []Shard{}
	}
	if out.Timeline == nil {
		out.Timeline = []Entry{}
	}
	return out
}

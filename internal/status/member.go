// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"slices"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Member is one replica's session.
type Member struct {
	Identity string `json:"identity"`
	Pod      string `json:"pod"`
	Revision int64  `json:"revision"`
	Ready    bool   `json:"ready"`
	Leaving  bool   `json:"leaving"`
	// Shards is how many shards the member holds.
	Shards int `json:"shards"`
	// Load is how many thousandths of a worker the member's shards keep busy.
	Load int64 `json:"load"`
	// RenewedAgo is the age of the last heartbeat, as a Go duration, by the
	// member's wall clock and the one here; empty if there was none.
	RenewedAgo string `json:"renewedAgo"`
	// State is Live, Leaving, Cordoned, Lapsed or Ended.
	State string `json:"state"`
	// Problem is what the member reports to fail with shards that others hold, such
	// as a cache that it cannot fill; empty if nothing. What fails with shards that
	// it holds, or nobody does, is told there.
	Problem string `json:"problem,omitempty"`
	// Declines are the types and roles of which it takes no shards now, and why: unfit,
	// its readiness for them fails, or yielded, it was asked to give them up a moment ago.
	Declines map[string]lease.Cause `json:"declines,omitempty"`

	// Lease is the name of the member Lease, which later sessions of the replica
	// share.
	Lease string `json:"-"`
	// Renewed is when the last heartbeat was sent, by the member's wall clock; zero
	// if there was none. RenewedAgo is the age of it. Not in JSON.
	Renewed time.Time `json:"-"`
	// LeaseDuration is for how long nobody else takes what the member holds after a
	// heartbeat; not in JSON.
	LeaseDuration time.Duration `json:"-"`
	// Serves are the families of which it is able to hold shards, sorted; not in
	// JSON, since they are many and mostly those of all members.
	Serves []string `json:"-"`
	// Fence is the digest of the admission policies that its configuration calls for;
	// empty if it does not say. Not in JSON: what it is worth is in [Status].
	Fence string `json:"-"`
}

// The states of a member.
const (
	Live     = "live"
	Leaving  = "leaving"  // it hands everything over and ends
	Cordoned = "cordoned" // an operator has asked that it hold nothing
	Lapsed   = "lapsed"   // no heartbeat for the LeaseDuration
	Ended    = "ended"    // its session is over
)

func memberOf(m lease.Member, now time.Time) Member {
	ago := max(0, now.Sub(m.Renewed))
	out := Member{
		Identity: m.Holder, Pod: PodOf(m.Holder), Revision: m.Revision,
		Ready: m.Ready, Leaving: m.Leaving, State: Live, Lease: m.Name, Serves: m.Serves, Fence: m.Fence, Declines: m.Declines,
		Renewed: m.Renewed, LeaseDuration: m.Duration,
	}
	if !m.Renewed.IsZero() { // a record may have been made only to end a session
		out.RenewedAgo = ago.Round(100 * time.Millisecond).String()
	}
	for _, load := range m.Load {
		out.Load += load
	}
	switch {
	case m.Ended == m.Holder:
		out.State, out.Ready = Ended, false
	case ago > m.Duration:
		out.State = Lapsed
	case m.Leaving:
		out.State = Leaving
	case m.Cordoned:
		out.State = Cordoned
	}
	return out
}

// Current tells whether the member's session goes on.
func (m Member) Current() bool { return m.State != Lapsed && m.State != Ended }

// Can tells whether the member is able to hold shards of the family.
func (m Member) Can(family string) bool { return slices.Contains(m.Serves, family) }

// Takes tells whether shards of the family may be given to the member now.
func (m Member) Takes(family string) bool {
	return m.State == Live && m.Ready && m.Can(family) && m.Declines[family] == ""
}

// PodOf is the name of the Pod in an identity, or the identity itself if it is
// not one of ours.
func PodOf(identity string) string {
	if id, err := lease.ParseIdentity(identity); err == nil {
		return id.Pod
	}
	return identity
}

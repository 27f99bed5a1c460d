// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"slices"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// The names of events. Those about members are lease's kinds of changes: joined, changed,
// left.
const (
	eventSnapshot = "snapshot" // how everything stands
	eventGranted  = "granted"  // this replica leads a role from now on
	eventMissed   = "missed"   // it was granted, and is no longer: told too late to act on it
	eventRevoked  = "revoked"  // this replica does not lead it any more
	eventLeader   = "leader"   // a role has another leader, or none
	eventValid    = "valid"    // for how long what is granted is sure; not in the journal
)

// event is one of the journal.
type event struct {
	number uint64
	name   string
	role   string            // of granted, revoked, leader
	grant  *grant            // of granted, revoked
	leader lease.Leader      // of leader
	member lease.MemberState // of joined, changed, left
	end    end               // of revoked
}

// end is what is told of the end of a grant.
type end struct {
	why         string
	grace       time.Duration // the shard is kept for so long
	acknowledge bool          // or until a program says that it has stopped
}

// concerns tells whether the event is for somebody who wants to know of these roles only;
// none: of all. Members are of interest to everybody.
func (e event) concerns(roles []string) bool {
	return len(roles) == 0 || e.role == "" || slices.Contains(roles, e.role)
}

// leader is who leads a role, and since when this replica knows.
type leader struct {
	lease.Leader

	since time.Time // zero: it was so when this process began to look
}

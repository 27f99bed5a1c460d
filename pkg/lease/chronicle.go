// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"maps"
	"slices"
	"strings"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// MaxChanges is how many changes a [Chronicle] remembers.
const MaxChanges = 4096

// Chronicle tells what has become of a group, in the order in which a replica's watch has
// shown it: who holds each shard, and who is a member. Nothing in between is left out, as
// long as the watch goes on; when it had to list the group anew, what came about
// meanwhile appears as one change, and epochs tell that there were others. It is safe for
// concurrent use.
type Chronicle struct {
	mu      sync.Mutex
	last    uint64   // number of the newest change
	changes []Change // the newest ones, oldest first
	leaders map[string]Leader
	members map[string]MemberState // by name of the member Lease
	more    chan struct{}          // closed with the next change
}

// Change is something that has changed in a group.
type Change struct {
	// ID rises by one with every change, from 1 when the process began.
	ID   uint64
	Kind ChangeKind
	// Leader is who holds the shard now, for [LeaderChanged].
	Leader Leader
	// Member is the member as it is now, or was last, for the other kinds.
	Member MemberState
}

// ChangeKind says what a change is about.
type ChangeKind string

// The kinds of changes.
const (
	LeaderChanged ChangeKind = "leader"  // a shard has another holder, or none
	MemberJoined  ChangeKind = "joined"  // a session has begun
	MemberChanged ChangeKind = "changed" // what a member says of itself is otherwise
	MemberLeft    ChangeKind = "left"    // a session is over, or its record has gone
)

// Leader is who holds a shard, as its Lease says: that Lease names a holder which has
// crashed until another takes over.
type Leader struct {
	Shard  string
	Holder string // identity; empty: nobody
	Pod    string // that of the holder
	Epoch  int32
}

// MemberState is what a member says of itself.
type MemberState struct {
	Identity string
	Pod      string
	Revision int64
	Ready    bool
	Leaving  bool
}

// Standing is how a group stands after a change.
type Standing struct {
	ID      uint64            // of that change; 0 before the first
	Leaders map[string]Leader // by shard
	Members []MemberState     // sorted by identity
}

func newChronicle() *Chronicle {
	return &Chronicle{leaders: map[string]Leader{}, members: map[string]MemberState{}, more: make(chan struct{})}
}

// Standing tells how the group stands now.
func (c *Chronicle) Standing() Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	byIdentity := func(a, b MemberState) int { return strings.Compare(a.Identity, b.Identity) }
	return Standing{ID: c.last, Leaders: maps.Clone(c.leaders), Members: slices.SortedFunc(maps.Values(c.members), byIdentity)}
}

// Since returns what has changed after the change of that ID, oldest first. It is not
// complete if some of that has been forgotten, or never was: then begin with
// [Chronicle.Standing]. More is closed with the next change.
func (c *Chronicle) Since(id uint64) (changes []Change, complete bool, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	forgotten := c.last - uint64(len(c.changes))
	if id < forgotten || id > c.last {
		return nil, false, c.more
	}
	return slices.Clone(c.changes[id-forgotten:]), true, c.more
}

// saw takes in a Lease as it is now.
func (c *Chronicle) saw(l *coordinationv1.Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch l.Labels[LabelKind] {
	case KindShard:
		c.sawShard(l)
	case KindMember:
		c.sawMember(l)
	}
}

func (c *Chronicle) sawShard(l *coordinationv1.Lease) {
	s := DecodeShard(l)
	now := Leader{Shard: strings.TrimPrefix(l.Name, l.Labels[LabelGroup]+"."), Holder: s.Holder, Pod: podOf(s.Holder), Epoch: s.Epoch}
	before, known := c.leaders[now.Shard]
	if before == now || !known && now.Holder == "" {
		return
	}
	c.leaders[now.Shard] = now
	if before.Holder == "" && now.Holder == "" {
		return // somebody has counted up the epoch
	}
	c.add(Change{Kind: LeaderChanged, Leader: now})
}

func (c *Chronicle) sawMember(l *coordinationv1.Lease) {
	m := DecodeMember(l)
	now := MemberState{Identity: m.Holder, Pod: podOf(m.Holder), Revision: m.Revision, Ready: m.Ready, Leaving: m.Leaving}
	if m.Holder == "" || m.Ended == m.Holder {
		c.lostMember(l.Name)
		return
	}
	before, known := c.members[l.Name]
	switch {
	case known && before == now:
		return
	case known && before.Identity == now.Identity:
		c.members[l.Name] = now
		c.add(Change{Kind: MemberChanged, Member: now})
	default:
		c.lostMember(l.Name)
		c.members[l.Name] = now
		c.add(Change{Kind: MemberJoined, Member: now})
	}
}

// lost takes in that a Lease has gone.
func (c *Chronicle) lost(l *coordinationv1.Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch l.Labels[LabelKind] {
	case KindShard:
		shard := strings.TrimPrefix(l.Name, l.Labels[LabelGroup]+".")
		if before, known := c.leaders[shard]; known {
			delete(c.leaders, shard)
			if before.Holder != "" {
				c.add(Change{Kind: LeaderChanged, Leader: Leader{Shard: shard, Epoch: before.Epoch}})
			}
		}
	case KindMember:
		c.lostMember(l.Name)
	}
}

func (c *Chronicle) lostMember(name string) {
	if before, known := c.members[name]; known {
		delete(c.members, name)
		c.add(Change{Kind: MemberLeft, Member: before})
	}
}

// add remembers a change; c.mu is held.
func (c *Chronicle) add(change Change) {
	c.last++
	change.ID = c.last
	if len(c.changes) == MaxChanges {
		c.changes = slices.Delete(c.changes, 0, 1)
	}
	c.changes = append(c.changes, change)
	close(c.more)
	c.more = make(chan struct{})
}

// podOf is the Pod of a session, or what else holds a Lease.
func podOf(identity string) string {
	id, err := ParseIdentity(identity)
	if err != nil {
		return identity
	}
	return id.Pod
}

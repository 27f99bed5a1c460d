// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

const (
	// maxEvents is how many are remembered for those who are behind, or come back.
	maxEvents = 4096
	// pageEvents is how many a reader gets at a time.
	pageEvents = 256
)

// journal is the one sequence of what programs are told. It is written from two sides, the
// group's chronicle and the terms of this replica; who writes first takes over what the
// chronicle has, so that a reader never sees the second before the first.
type journal struct {
	boot      string // tells this process's IDs from those of others
	chronicle Chronicle
	roles     func() []Role

	mu     sync.Mutex
	last   uint64  // number of the newest event
	events []event // the newest ones, oldest first, numbered without gaps
	more   chan struct{}
	closed bool

	// How it stands after the newest event.
	seen    uint64 // of the chronicle
	leaders map[string]leader
	members map[string]lease.MemberState // by identity
	grants  map[string]*grant            // by role, the newest one
	known   map[string]bool              // roles whose leaders are told
}

func newJournal(c Chronicle, roles func() []Role) *journal {
	j := &journal{
		boot: strings.ToLower(rand.Text()[:10]), chronicle: c, roles: roles,
		more: make(chan struct{}), leaders: map[string]leader{}, grants: map[string]*grant{}, known: map[string]bool{},
	}
	j.begin(c.Standing())
	for _, role := range roles() {
		j.known[role.Name] = true
	}
	return j
}

// followLoop takes over what the chronicle tells, until ctx is done; that closes the
// journal.
func (j *journal) followLoop(ctx context.Context) error {
	defer j.close()
	for {
		select {
		case <-j.catchUp():
		case <-ctx.Done():
			return nil
		}
	}
}

// close ends what is granted still, and says that nothing will follow.
func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, role := range slices.Sorted(maps.Keys(j.grants)) {
		j.revokeNow(j.grants[role], end{why: "this replica ends"})
	}
	j.closed = true
	j.wake()
}

// catchUp takes over what the chronicle has told by now. The channel is closed when it has
// more.
func (j *journal) catchUp() (more <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.takeOver()
}

// takeOver is catchUp for those who have the lock.
func (j *journal) takeOver() (more <-chan struct{}) {
	for {
		changes, complete, more := j.chronicle.Since(j.seen)
		if complete {
			j.meetRoles()
			for _, change := range changes {
				j.saw(change)
			}
			return more
		}
		// This process was starved for thousands of changes: what came about meanwhile is
		// unknown, so nobody can go on from an event of before.
		j.events = nil
		j.last++
		j.begin(j.chronicle.Standing())
		j.wake()
	}
}

// begin takes over how the group stands.
func (j *journal) begin(s lease.Standing) {
	j.seen = s.ID
	before := j.leaders
	j.leaders, j.members = map[string]leader{}, map[string]lease.MemberState{}
	for shard, now := range s.Leaders {
		j.leaders[shard] = leader{Leader: now}
		if b := before[shard]; b.Leader == now {
			j.leaders[shard] = b
		}
		j.outdo(now)
	}
	for _, m := range s.Members {
		j.members[m.Identity] = m
	}
}

// saw takes over a change.
func (j *journal) saw(c lease.Change) {
	j.seen = c.ID
	switch c.Kind {
	case lease.LeaderChanged:
		j.outdo(c.Leader)
		j.leaders[c.Leader.Shard] = leader{Leader: c.Leader, since: time.Now()}
		if j.known[c.Leader.Shard] {
			j.add(event{name: eventLeader, role: c.Leader.Shard, leader: c.Leader})
		}
		return
	case lease.MemberLeft:
		delete(j.members, c.Member.Identity)
	case lease.MemberJoined, lease.MemberChanged:
		j.members[c.Member.Identity] = c.Member
	}
	j.add(event{name: string(c.Kind), member: c.Member})
}

// outdo revokes what is granted and has another leader by now: this process was stopped for
// so long that its term is over, and has not got round to ending it.
func (j *journal) outdo(now lease.Leader) {
	g := j.grants[now.Shard]
	if g != nil && now.Holder != g.term.Identity() && now.Epoch > g.term.Epoch() {
		j.revokeNow(g, end{why: "another replica leads it"})
	}
}

// meetRoles tells who leads roles that have come into the configuration, and no more of
// those that have gone.
func (j *journal) meetRoles() {
	roles := j.roles()
	for _, role := range roles {
		if j.known[role.Name] {
			continue
		}
		j.known[role.Name] = true
		if now := j.leaders[role.Name]; now.Holder != "" {
			j.add(event{name: eventLeader, role: role.Name, leader: now.Leader})
		}
	}
	maps.DeleteFunc(j.known, func(name string, _ bool) bool {
		return !slices.ContainsFunc(roles, func(r Role) bool { return r.Name == name })
	})
}

// add writes an event down.
func (j *journal) add(e event) {
	j.last++
	e.number = j.last
	if len(j.events) == maxEvents {
		j.events = slices.Delete(j.events, 0, 1)
	}
	j.events = append(j.events, e)
	j.wake()
}

// wake has those look who wait for more.
func (j *journal) wake() {
	close(j.more)
	j.more = make(chan struct{})
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"sync"
	"time"
)

// moment is a step on the way of a tick.
type moment string

const (
	onClaim  moment = "claimed"  // etcd has the claim
	onCall   moment = "called"   // the hook has been called
	onAnswer moment = "answered" // the hook has answered
	onRecord moment = "recorded" // etcd has the record of the end
)

// Hit is a tick that was struck.
type Hit struct {
	Role  string
	Tick  time.Time
	Epoch int32
}

// trap waits for a moment in some terms.
type trap struct {
	moment moment
	terms  map[string]int32 // epochs by role
	after  int64            // the revision after which an entry counts
	// onCall, if set, runs at the beginning of the call at whose end the trap springs.
	onCall func()
	// spring does the harm, in the middle of what is going on.
	spring func(Hit) error
	sprung chan result
}

// result is what a trap has caught.
type result struct {
	hit Hit
	err error
}

// traps has the one trap that is set, if any.
type traps struct {
	mu  sync.Mutex
	set *trap
}

// arm sets a trap, in the place of the one before.
func (t *traps) arm(one *trap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one.sprung = make(chan result, 1)
	t.set = one
}

// disarm takes a trap back, and says whether it has not sprung. If it has, its result is there or will be.
func (t *traps) disarm(one *trap) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.set != one {
		return false
	}
	t.set = nil
	return true
}

// at springs the trap, if it waits for that. Whoever reports the moment waits for the harm to be done.
func (t *traps) at(m moment, hit Hit, revision int64) {
	t.mu.Lock()
	one := t.set
	if one == nil || one.moment != m || one.onCall != nil || one.terms[hit.Role] != hit.Epoch || revision != 0 && revision <= one.after {
		t.mu.Unlock()
		return
	}
	t.set = nil
	t.mu.Unlock()
	one.sprung <- result{hit, one.spring(hit)}
}

// called and answered are for the hook.
func (t *traps) called(c Call) {
	t.choose(c)
	t.at(onCall, Hit{c.Role, c.Scheduled, c.Epoch}, 0)
}

func (t *traps) answered(c Call) { t.at(onAnswer, Hit{c.Role, c.Scheduled, c.Epoch}, 0) }

// choose makes a call the one at whose end the trap springs, if that has to be prepared.
func (t *traps) choose(c Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one := t.set; one != nil && one.onCall != nil && one.terms[c.Role] == c.Epoch {
		one.onCall()
		one.onCall, one.terms = nil, map[string]int32{c.Role: c.Epoch}
	}
}

// told returns what is for the chronicle: it looks at what an entry says that the one before did not.
func (t *traps) told() func(role string, e Entry) {
	last := map[string]Entry{}
	return func(role string, e Entry) {
		before := last[role]
		last[role] = e
		if claimed := e.Record.Claimed; claimed.Tick.After(before.Record.Claimed.Tick) {
			t.at(onClaim, Hit{role, claimed.Tick, claimed.Epoch}, e.Revision)
		}
		if ended := e.Record.Last; ended != before.Record.Last {
			t.at(onRecord, Hit{role, ended.Tick, ended.Epoch}, e.Revision)
		}
	}
}

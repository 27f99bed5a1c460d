// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// ErrNotHeld is returned by [Group.Yield] if this replica does not hold the role.
var ErrNotHeld = errors.New("this replica does not hold the role")

const (
	// defaultBackoff is how long who has yielded does not take the role again: others
	// have taken it by then, unless there are none.
	defaultBackoff = 10 * time.Second
	maxBackoff     = time.Hour
)

// declining is what this replica does not take, and what must not be interrupted; g.mu
// guards it.
type declining struct {
	roles map[string]map[lease.Cause]time.Time // why, and until when; the zero time is until further notice
	busy  map[string]bool
}

// Yield gives a role up, or any shard whose type is in one piece, for another replica to
// take. This one does not take it again before the back-off has passed, also if there is
// no other: then nobody holds the role for so long. Zero is 10 s, more than an hour is an
// error. It returns [ErrNotHeld] if this replica does not hold the role. The term goes on
// until its work has returned, like in any hand-over; Yield does not wait for that.
func (g *Group) Yield(role string, backoff time.Duration) error {
	if backoff < 0 || backoff > maxBackoff {
		return fmt.Errorf("role %q: back-off: %s is not allowed: use 0 for %s, or up to %s", role, backoff, defaultBackoff, maxBackoff)
	}
	if backoff == 0 {
		backoff = defaultBackoff
	}
	if _, held := g.Holding(role); !held {
		return fmt.Errorf("role %q: %w", role, ErrNotHeld)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.declining.decline(role, lease.CauseYielded, time.Now().Add(backoff))
	return nil
}

// decline makes this replica not take a role, for that cause, until then; for the zero
// time until it accepts it.
func (d *declining) decline(role string, cause lease.Cause, until time.Time) {
	if d.roles == nil {
		d.roles = map[string]map[lease.Cause]time.Time{}
	}
	if d.roles[role] == nil {
		d.roles[role] = map[lease.Cause]time.Time{}
	}
	d.roles[role][cause] = until
}

// accept: the cause is there no more.
func (d *declining) accept(role string, cause lease.Cause) { delete(d.roles[role], cause) }

// setBusy says whether a role has work under way that should not be interrupted.
func (g *Group) setBusy(role string, busy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !busy {
		delete(g.declining.busy, role)
		return
	}
	if g.declining.busy == nil {
		g.declining.busy = map[string]bool{}
	}
	g.declining.busy[role] = true
}

// changed takes in that roles were added. One with a gate is not taken before that has
// opened, unless it takes the place of one that is gated, too: that goes on as it is.
func (d *declining) changed(removed, added []*role) {
	gated := map[string]bool{}
	for _, r := range removed {
		gated[r.Name] = r.Gate != nil
	}
	for _, r := range added {
		switch {
		case r.Gate == nil:
			d.accept(r.Name, lease.CauseUnfit)
		case !gated[r.Name]:
			d.decline(r.Name, lease.CauseUnfit, time.Time{})
		}
	}
}

// declined are the families of which this replica takes nothing now, and why.
func (g *Group) declined(now time.Time) map[string]lease.Cause {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[string]lease.Cause{}
	for role, causes := range g.declining.roles {
		maps.DeleteFunc(causes, func(_ lease.Cause, until time.Time) bool { return !until.IsZero() && !now.Before(until) })
		for _, cause := range slices.Sorted(maps.Keys(causes)) {
			all[role] = cmp.Or(all[role], cause)
		}
	}
	return all
}

// busy are the families whose work is not to be interrupted.
func (g *Group) busy() map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[string]bool{}
	maps.Copy(all, g.declining.busy)
	return all
}

// forgetDeclined drops what is said of roles that the group does not have any more.
func (g *Group) forgetDeclined() {
	g.mu.Lock()
	defer g.mu.Unlock()
	has := g.roster.families()
	maps.DeleteFunc(g.declining.roles, func(role string, _ map[lease.Cause]time.Time) bool {
		_, has := has[role]
		return !has
	})
}

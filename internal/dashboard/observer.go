// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/internal/status"
)

// observer makes a state of each look at the group, and remembers what a later one
// is compared with. It starts no goroutine and reads no clock.
type observer struct {
	options Options
	started time.Time
	sight   sight
	moves   moves
	history timeline

	// before is the last look at anything; known says that there was one.
	before status.Status
	known  bool
	// lastHolders are the identities that held the shards last, unheld since when
	// those that nobody holds were first seen so; both by shard.
	lastHolders map[string]string
	unheld      map[string]time.Time
	newest      *state
}

func newObserver(o Options) *observer {
	return &observer{options: o, lastHolders: map[string]string{}, unheld: map[string]time.Time{}}
}

// blank is the state before anything was seen.
func (o *observer) blank(now time.Time) *state {
	return newState(Snapshot{
		Group: o.options.Group, Namespace: o.options.Namespace, Self: o.options.Self, Version: o.options.Version,
		Started: milliseconds(now), Now: milliseconds(now), View: View{State: ViewWaiting},
	}, 1)
}

// look takes in the group's Leases at the time now; fresh says that the watch has
// shown something new since the last look. It returns the new state, or nil if all
// is as it was.
func (o *observer) look(leases []coordinationv1.Lease, fresh bool, now time.Time) *state {
	if o.newest == nil {
		o.started = now
		o.newest = o.blank(now)
	}
	at, view := o.sight.look(fresh, o.patience(), now)
	group := status.Of(o.options.Group, o.options.Namespace, leases, at)
	moved := 0
	if view != ViewWaiting {
		if o.known {
			entries := happened(o.before, group, o.lastHolders)
			o.history.add(milliseconds(now), entries)
			for _, e := range entries {
				if e.move() {
					moved++
				}
			}
		}
		o.remember(group, now)
	}
	next := newState(o.snapshot(group, View{State: view, Newest: milliseconds(o.sight.newest)}, moved, now), o.newest.version+1)
	if update := next.since(o.newest); update.empty(o.newest) {
		return nil
	}
	o.newest = next
	return next
}

// patience is how long a watch that works may show nothing new: heartbeats are less
// than a third of a LeaseDuration apart, and one may be late.
func (o *observer) patience() time.Duration {
	var shortest time.Duration
	for _, m := range o.before.Members {
		if m.Current() && m.LeaseDuration > 0 && (shortest == 0 || m.LeaseDuration < shortest) {
			shortest = m.LeaseDuration
		}
	}
	if shortest == 0 {
		return defaultPatience
	}
	return shortest / 2
}

func (o *observer) remember(group status.Status, now time.Time) {
	holders, unheld := map[string]string{}, map[string]time.Time{}
	for _, sh := range group.Shards {
		if sh.Holder != "" {
			holders[sh.Name] = sh.Holder
		} else if last, ok := o.lastHolders[sh.Name]; ok {
			holders[sh.Name] = last
		}
		if sh.State == status.Unheld {
			unheld[sh.Name] = now
			if before, ok := o.unheld[sh.Name]; ok {
				unheld[sh.Name] = before
			}
		}
	}
	o.before, o.known, o.lastHolders, o.unheld = group, true, holders, unheld
}

func (o *observer) snapshot(group status.Status, view View, moved int, now time.Time) Snapshot {
	s := Snapshot{
		Group: group.Group, Namespace: group.Namespace, Self: o.options.Self, Version: o.options.Version,
		Started: milliseconds(o.started), Now: milliseconds(now), View: view,
		Summary:  summaryOf(group),
		Timeline: o.history.entries,
	}
	s.Summary.Moves = o.moves.count(moved, now)
	for _, m := range group.Members {
		s.Members = append(s.Members, Member{
			ID: m.Lease, Identity: m.Identity, Pod: m.Pod, State: m.State, Ready: m.Ready, Revision: m.Revision,
			Shards: m.Shards, Load: m.Load, Problem: m.Problem, Heartbeat: milliseconds(m.Renewed),
		})
	}
	for _, sh := range group.Shards {
		since, _ := time.Parse(time.RFC3339, sh.Since) // empty if it never was held
		s.Shards = append(s.Shards, Shard{
			Name: sh.Name, Resource: sh.Resource, Bucket: sh.Bucket, Holder: status.PodOf(sh.Holder), Identity: sh.Holder,
			Epoch: sh.Epoch, State: string(sh.State), Since: since, UnheldSince: milliseconds(o.unheld[sh.Name]),
			Pin: sh.Preferred, Load: sh.Load, Problem: sh.Problem, Unserved: sh.Unserved,
		})
	}
	return s
}

// milliseconds is a time as messages have it.
func milliseconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// follower keeps what the metrics tell of the whole group, by what this replica's watch
// shows. Nothing is decided by it.
//
// Whether a session goes on is judged by the age of its last heartbeat here, never by
// the clocks of others. So a replica that is cut off sees the sessions of all others
// lapse, and says so: the truth about a group is what its best informed replica says.
//
// Most of what a group's watch shows is heartbeats, which only make a session younger.
// The Leases are decoded, all of them, only when something else has changed or a session
// has grown too old, and no more often than every lookInterval.
type follower struct {
	group, namespace string
	leases           func() ([]coordinationv1.Lease, <-chan struct{})
	families         func() map[string]lease.ShardSpec // that are configured here
	// gone is told of a shard that is none of the group any more.
	gone func(shard string)

	mu        sync.Mutex
	following bool // the group was listed, and goes on to be watched
	sightings sightings
	due       time.Time // when the first session will have lapsed, unless it is renewed; zero for never
	shards    map[string]*sightedShard
	absent    map[string]time.Time // families without any Lease, and since when
	members   map[string]int       // by state
	imbalance float64
}

// sightedShard is what the replica has seen of one shard.
type sightedShard struct {
	family string
	holder string    // the last process that held it: see holderOf
	unheld time.Time // since when nobody does; zero while somebody does
	moves  int
}

// followLoop follows the group until ctx is done.
func (f *follower) followLoop(ctx context.Context) error {
	defer f.end()
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for listed := false; ; listed = true {
		leases, changed := f.leases()
		if listed || len(leases) > 0 {
			due := f.look(leases, time.Now())
			if alarm.Stop(); !due.IsZero() {
				alarm.Reset(time.Until(due))
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(lookInterval): // thousands may change at once
			}
		} else {
			alarm.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-alarm.C:
		}
	}
}

// end forgets everything: what is not watched any more is not to be told about.
func (f *follower) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.following = false
}

// look takes in the Leases as they are now, and says when to look again even if nothing
// changes.
func (f *follower) look(leases []coordinationv1.Lease, now time.Time) (due time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed := f.sightings.take(leases, now)
	lapsed := !f.due.IsZero() && !now.Before(f.due)
	if changed || lapsed || !f.following {
		f.judge(leases, now)
	}
	f.following = true
	f.due = f.sightings.nextLapse(now)
	return f.due
}

// judge finds out who holds what. The times at which heartbeats were seen here stand in
// for those that were written into them; f.mu is held.
func (f *follower) judge(leases []coordinationv1.Lease, now time.Time) {
	leases = slices.Clone(leases)
	for i := range leases {
		seen := metav1.NewMicroTime(f.sightings[leases[i].Name].renewed)
		leases[i].Spec.RenewTime = &seen
	}
	s := status.Of(f.group, f.namespace, leases, now)
	f.members = map[string]int{}
	for _, m := range s.Members {
		f.members[m.State]++
	}
	f.imbalance = s.Imbalance(IdleWeight)
	known := f.shards
	f.shards = make(map[string]*sightedShard, len(s.Shards))
	for _, sh := range s.Shards {
		if sh.Lease == "" {
			continue // stands for shards that are none yet
		}
		sighted := known[sh.Name]
		if sighted == nil {
			family, _ := lease.ParseShardName(sh.Name)
			sighted = &sightedShard{family: family}
		}
		sighted.take(sh, now)
		f.shards[sh.Name] = sighted
	}
	for name := range known {
		if f.shards[name] == nil {
			f.gone(name)
		}
	}
	f.noteAbsent(now)
}

// take notes who holds the shard. Somebody else who holds it next has got it by a move,
// whether or not nobody did meanwhile.
func (s *sightedShard) take(sh status.Shard, now time.Time) {
	if sh.State == status.Unheld {
		if s.unheld.IsZero() {
			s.unheld = now
		}
		return
	}
	s.unheld = time.Time{}
	holder := holderOf(sh.Holder)
	if s.holder != "" && s.holder != holder {
		s.moves++
	}
	s.holder = holder
}

// holderOf is what the sessions of one process have in common: it goes on as another
// one where it was, which is no move.
func holderOf(identity string) string {
	id, err := lease.ParseIdentity(identity)
	if err != nil {
		return identity // of an elector that is not of this group
	}
	id.Incarnation = 0
	return id.String()
}

// noteAbsent notes which families that are configured have no shards; f.mu is held.
func (f *follower) noteAbsent(now time.Time) {
	present := map[string]bool{}
	for _, s := range f.shards {
		present[s.family] = true
	}
	known := f.absent
	f.absent = map[string]time.Time{}
	for family := range f.families() {
		since, missed := known[family]
		switch {
		case present[family]:
		case missed:
			f.absent[family] = since
		default:
			f.absent[family] = now
		}
	}
}

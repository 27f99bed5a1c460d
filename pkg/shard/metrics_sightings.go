// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"maps"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// sightings are the Leases of a group as they were seen last, by name.
type sightings map[string]sighting

// sighting is a Lease, and when its last heartbeat was seen here.
type sighting struct {
	lease   coordinationv1.Lease
	renewed time.Time
}

// take takes in the Leases as they are now. It tells whether that is more than
// heartbeats of sessions that go on.
func (all *sightings) take(leases []coordinationv1.Lease, now time.Time) (news bool) {
	if *all == nil {
		*all = sightings{}
	}
	for i := range leases {
		l := &leases[i]
		known, ok := (*all)[l.Name]
		if ok && known.lease.ResourceVersion == l.ResourceVersion {
			continue
		}
		seen := sighting{lease: *l, renewed: now}
		if ok && !renewedSince(&known.lease, l) {
			seen.renewed = known.renewed
		}
		news = news || !ok || known.lapsed(now) || !onlyRenewed(&known.lease, l)
		(*all)[l.Name] = seen
	}
	if len(*all) == len(leases) {
		return news
	}
	there := make(map[string]bool, len(leases))
	for i := range leases {
		there[leases[i].Name] = true
	}
	maps.DeleteFunc(*all, func(name string, _ sighting) bool { return !there[name] })
	return true
}

// nextLapse is when the first of those that have not lapsed will have, unless it is
// renewed; zero if there is none.
func (all sightings) nextLapse(now time.Time) (next time.Time) {
	for _, s := range all {
		if s.held() && !s.lapsed(now) && (next.IsZero() || s.lapses().Before(next)) {
			next = s.lapses()
		}
	}
	return next
}

// held tells whether the Lease has a holder: else it has no heartbeat that could lapse.
func (s sighting) held() bool { return ptr.Deref(s.lease.Spec.HolderIdentity, "") != "" }

func (s sighting) lapsed(now time.Time) bool { return s.held() && !s.lapses().After(now) }

// lapses is the first instant at which the heartbeat is too old. A shard in session mode
// has a duration that never ends.
func (s sighting) lapses() time.Time {
	duration := time.Duration(ptr.Deref(s.lease.Spec.LeaseDurationSeconds, 0)) * time.Second
	return s.renewed.Add(duration + 1)
}

// renewedSince tells whether a Lease has had a heartbeat since it was like old. Ours
// carry a number, for a wall clock may show the same time twice.
func renewedSince(old, l *coordinationv1.Lease) bool {
	return old.UID != l.UID || !old.Spec.RenewTime.Equal(l.Spec.RenewTime) ||
		!ptr.Equal(old.Spec.HolderIdentity, l.Spec.HolderIdentity) ||
		old.Annotations[lease.AnnotationAttempt] != l.Annotations[lease.AnnotationAttempt]
}

// onlyRenewed tells whether nothing but a heartbeat makes a Lease differ from old.
func onlyRenewed(old, l *coordinationv1.Lease) bool {
	if old.UID != l.UID || len(old.Annotations) != len(l.Annotations) || !maps.Equal(old.Labels, l.Labels) ||
		!ptr.Equal(old.Spec.HolderIdentity, l.Spec.HolderIdentity) ||
		!ptr.Equal(old.Spec.LeaseDurationSeconds, l.Spec.LeaseDurationSeconds) ||
		!ptr.Equal(old.Spec.LeaseTransitions, l.Spec.LeaseTransitions) {
		return false
	}
	for name, value := range l.Annotations {
		if before, ok := old.Annotations[name]; name != lease.AnnotationAttempt && (!ok || before != value) {
			return false
		}
	}
	return true
}

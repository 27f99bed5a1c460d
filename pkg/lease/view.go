// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// view is what the replica knows of the group's Leases. It never goes back
// (rule R3): what is older than what is known is dropped, whether it comes
// from a list, the watch or a reply.
type view struct {
	group  string
	leases map[string]*entry
	// shown is the resourceVersion up to which the watch has shown everything.
	shown uint64
	// newest is the newest resourceVersion known, own replies included.
	newest uint64
	// longest is the largest LeaseDuration ever seen in the group: whoever had
	// it may still be there although its record is gone.
	longest time.Duration
	// ended are the identities that a record was seen to call ended, oldest
	// first. They stay so when the record is gone: whoever leaves removes it.
	ended []string
}

// maxEnded bounds the identities remembered as ended. One that is forgotten
// costs a wait, if a shard still names it.
const maxEnded = 1024

// remember keeps in mind that a session is over. Only its own record can say
// so: another, such as a copy, is not what its renewals contend with (R1).
func (v *view) remember(record, ended string) {
	id, err := ParseIdentity(ended)
	if err != nil || record != memberLeaseName(v.group, id.Replica) || slices.Contains(v.ended, ended) {
		return
	}
	if len(v.ended) == maxEnded {
		v.ended = slices.Delete(v.ended, 0, 1)
	}
	v.ended = append(v.ended, ended)
}

// entry is one Lease, with what was observed of it on this replica's clock.
type entry struct {
	lease *coordinationv1.Lease // never changed
	rv    uint64
	// shown: the Lease carries the group's label, so that the watch shows it,
	// and its end. Only a Get can bring one that does not.
	shown bool
	// changed is when the heartbeat in it was last seen to change.
	changed Instant
	// appeared is when this UID was first seen.
	appeared Instant

	member Member
	shard  Shard
	layout Layout
}

func newView(group string) *view {
	return &view{group: group, leases: map[string]*entry{}}
}

// parseRV reads a resourceVersion; 0 is no valid one.
func parseRV(s string) uint64 {
	rv, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return rv
}

func (v *view) isMember(name string) bool {
	return strings.HasPrefix(name, v.group+".member-")
}

func (v *view) isLayout(name string) bool { return name == LayoutLeaseName(v.group) }

// heard takes in a Lease's state that a reply told.
func (v *view) heard(now Instant, l *coordinationv1.Lease) {
	if v.leases[l.Name] == nil && v.shows(l) && parseRV(l.ResourceVersion) <= v.shown {
		return // gone since: the watch would have shown it
	}
	v.put(now, l)
}

// shows tells whether the group's watch shows a Lease in this state.
func (v *view) shows(l *coordinationv1.Lease) bool { return l.Labels[LabelGroup] == v.group }

// put takes in a Lease's state, unless it is no news.
func (v *view) put(now Instant, l *coordinationv1.Lease) {
	rv := parseRV(l.ResourceVersion)
	if rv == 0 || !strings.HasPrefix(l.Name, v.group+".") {
		return
	}
	old := v.leases[l.Name]
	if old != nil && rv <= old.rv {
		return
	}
	v.newest = max(v.newest, rv)
	v.leases[l.Name] = v.decode(now, l, rv, old)
}

func (v *view) decode(now Instant, l *coordinationv1.Lease, rv uint64, old *entry) *entry {
	e := &entry{lease: l, rv: rv, shown: v.shows(l), changed: now, appeared: now}
	if old != nil && old.lease.UID == l.UID {
		e.appeared = old.appeared
	}
	switch {
	case v.isMember(l.Name):
		e.member = DecodeMember(l)
		v.remember(l.Name, e.member.Ended)
		v.longest = max(v.longest, min(e.member.Duration, maxLeaseDuration))
		if old != nil && old.member.Holder == e.member.Holder && old.member.Attempt == e.member.Attempt {
			e.changed = old.changed
		}
	case v.isLayout(l.Name):
		e.layout = decodeLayout(l)
	default:
		e.shard = DecodeShard(l)
		if old != nil && old.shard.Holder == e.shard.Holder && old.shard.stamp == e.shard.stamp && old.shard.Epoch == e.shard.Epoch {
			e.changed = old.changed
		}
	}
	return e
}

// observe takes in one event of the watch. One that was shown before, such as
// by the list that the watch started from, must not bring back what has been
// deleted since.
func (v *view) observe(now Instant, ev Observed) {
	rv := parseRV(ev.Lease.ResourceVersion)
	if rv <= v.shown {
		return
	}
	if ev.Deleted {
		if old := v.leases[ev.Lease.Name]; old != nil && rv >= old.rv {
			delete(v.leases, ev.Lease.Name)
		}
	} else {
		v.put(now, ev.Lease)
	}
	v.progress(rv)
}

func (v *view) progress(rv uint64) {
	v.shown = max(v.shown, rv)
	v.newest = max(v.newest, rv)
}

// replace takes in a whole list; false if it is older than what was shown. A
// reply may have told of a Lease's newer state while the list was under way:
// the list does not undo that, and the watch that follows it shows it again.
func (v *view) replace(now Instant, ev Listed) bool {
	rv := parseRV(ev.ResourceVersion)
	if rv == 0 || rv < v.shown {
		return false
	}
	listed := make(map[string]bool, len(ev.Leases))
	for _, l := range ev.Leases {
		listed[l.Name] = true
		v.put(now, l)
	}
	for name, known := range v.leases {
		if !listed[name] && known.rv <= rv {
			delete(v.leases, name)
		}
	}
	v.progress(rv)
	return true
}

// settled tells whether the watch has shown all that came before the state in
// e, so that the rest of the view is at least as fresh.
func (v *view) settled(e *entry) bool { return e.rv <= v.shown }

// names of all Leases, sorted: every walk over the view is in this order, so
// that the same events give the same effects.
func (v *view) names() []string {
	return slices.Sorted(maps.Keys(v.leases))
}

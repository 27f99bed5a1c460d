// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"math"
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
	group   string
	layout  string // name of the Lease with the layout record
	members string // what the names of member Leases begin with
	leases  map[string]*entry
	// names are those of all leases, sorted: every walk over the view is in
	// this order, so that the same events give the same effects.
	names []string
	// version changes with the set of names.
	version uint64
	// serves are lists of families that members serve, by how they are written:
	// mostly all serve the same.
	serves map[string][]string
	// identities remembers what identities say, for they are asked all the time.
	identities map[string]who
	// shown is the resourceVersion up to which the watch has shown everything.
	shown uint64
	// newest is the newest resourceVersion known, own replies included.
	newest uint64
	// longest is the largest LeaseDuration ever seen in the group: whoever had
	// it may still be there although its record is gone.
	longest time.Duration
	// tokens are the newest of what fencing tokens are made of, by family and bucket:
	// no claim of a bucket that overlaps may fall behind them (R7).
	tokens map[string]map[Bucket]highToken
	// ledgers are those of shard Leases that have been deleted, by name.
	ledgers map[string]keptLedger
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
	if ended == "" || record != v.who(ended).record || slices.Contains(v.ended, ended) {
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
	// closed is when it was first seen to be closed to its holder.
	closed Instant
	// from is the last term of another session that was seen.
	from seenTerm

	member Member
	shard  Shard
	layout Layout
}

// seenTerm is a term as a record told of it.
type seenTerm struct {
	holder string
	epoch  int32
}

func newView(group string) *view {
	return &view{
		group: group, layout: LayoutLeaseName(group), members: group + ".member-",
		leases: map[string]*entry{}, serves: map[string][]string{}, tokens: map[string]map[Bucket]highToken{}, identities: map[string]who{},
		ledgers: map[string]keptLedger{},
	}
}

// who is an identity taken apart: the zero value where it is none of ours.
type who struct {
	Identity
	record string // name of its member Lease
}

const (
	// maxIdentities bounds how many are remembered.
	maxIdentities = 4096
	// maxIdentity is longer than any identity of ours.
	maxIdentity = 512
)

func (v *view) who(identity string) who {
	known, ok := v.identities[identity]
	if ok || identity == "" || len(identity) > maxIdentity {
		return known
	}
	if id, err := ParseIdentity(identity); err == nil {
		known = who{Identity: id, record: MemberLeaseName(v.group, id.Replica)}
	}
	if len(v.identities) == maxIdentities {
		clear(v.identities)
	}
	v.identities[identity] = known
	return known
}

func (v *view) set(name string, e *entry) {
	if i, ok := slices.BinarySearch(v.names, name); !ok {
		v.names = slices.Insert(v.names, i, name)
		v.version++
	}
	v.leases[name] = e
}

func (v *view) drop(name string) {
	if known := v.leases[name]; known != nil {
		v.keepLedger(known)
	}
	if i, ok := slices.BinarySearch(v.names, name); ok {
		v.names = slices.Delete(v.names, i, i+1)
		v.version++
	}
	delete(v.leases, name)
}

// without is a list of families but for those that are declined.
func (v *view) without(serves []string, declined map[string]Cause) []string {
	declines := func(family string) bool { return declined[family] != "" }
	if !slices.ContainsFunc(serves, declines) {
		return serves
	}
	left := slices.DeleteFunc(slices.Clone(serves), declines)
	return v.share(strings.Join(left, ","), left)
}

// maxServes bounds how many lists of families are remembered.
const maxServes = 64

// share returns the one list for all members that serve the same.
func (v *view) share(written string, list []string) []string {
	if known, ok := v.serves[written]; ok {
		return known
	}
	if len(v.serves) == maxServes {
		clear(v.serves)
	}
	v.serves[written] = list
	return list
}

// under are the names of Leases that begin so, sorted.
func (v *view) under(prefix string) []string {
	first, _ := slices.BinarySearch(v.names, prefix)
	last := first
	for last < len(v.names) && strings.HasPrefix(v.names[last], prefix) {
		last++
	}
	return v.names[first:last]
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
	return strings.HasPrefix(name, v.members)
}

func (v *view) isLayout(name string) bool { return name == v.layout }

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
	if old != nil && old.lease.UID != l.UID {
		v.keepLedger(old) // nobody has shown its end
	}
	v.set(l.Name, v.decode(now, l, rv, old))
}

func (v *view) decode(now Instant, l *coordinationv1.Lease, rv uint64, old *entry) *entry {
	e := &entry{lease: l, rv: rv, shown: v.shows(l), changed: now, appeared: now}
	// What was deleted and made again has shown no sign of life yet.
	same := old != nil && old.lease.UID == l.UID
	if same {
		e.appeared = old.appeared
	}
	switch {
	case v.isMember(l.Name):
		e.member = DecodeMember(l)
		e.member.Serves = v.share(l.Annotations[AnnotationServes], e.member.Serves)
		v.remember(l.Name, e.member.Ended)
		v.waitsFor(e.member.Duration)
		if same && old.member.Holder == e.member.Holder && old.member.Attempt == e.member.Attempt {
			e.changed = old.changed
		}
	case v.isLayout(l.Name):
		e.layout = DecodeLayout(l)
	default:
		e.shard = DecodeShard(l)
		v.noteToken(e.shard)
		if !e.shard.Session {
			v.waitsFor(e.shard.Duration)
		}
		if same && old.shard.Holder == e.shard.Holder && old.shard.heartbeat() == e.shard.heartbeat() {
			e.changed = old.changed
		}
		e.closed = now
		if same && old.shard.Closed == e.shard.Closed {
			e.closed = old.closed
		}
		if same {
			e.from = old.from
			if old.shard.Holder != "" && (old.shard.Holder != e.shard.Holder || old.shard.Epoch != e.shard.Epoch) {
				e.from = seenTerm{old.shard.Holder, old.shard.Epoch}
			}
		}
	}
	return e
}

// highToken is the creation second and the epoch of the newest claim.
type highToken struct {
	created int64
	epoch   int32
}

// noteToken takes in a Lease of a family that has been claimed.
func (v *view) noteToken(s Shard) {
	if !s.Claimed || s.Epoch > math.MaxInt32/2 {
		return
	}
	family, b := ParseShardName(strings.TrimPrefix(s.Name, v.group+"."))
	if b.Of > 0 {
		b.By = cmp.Or(s.Partition, ByUID)
	}
	known := v.tokens[family]
	if known == nil || len(known) > maxTokens {
		known = map[Bucket]highToken{}
		v.tokens[family] = known
	}
	known[b] = known[b].or(s.Created, s.Epoch)
}

// maxTokens bounds how many buckets of a family are remembered, of how many layouts
// ever: those of a handful.
const maxTokens = 8 * MaxBuckets

// or is the higher one.
func (h highToken) or(created int64, epoch int32) highToken {
	if created > h.created || created == h.created && epoch > h.epoch {
		return highToken{created: created, epoch: epoch}
	}
	return h
}

// highest is the newest of what the tokens were made of that have keys in common
// with a bucket.
func (v *view) highest(family string, b Bucket) highToken {
	var high highToken
	for other, h := range v.tokens[family] {
		if other.Overlaps(b) {
			high = high.or(h.created, h.epoch)
		}
	}
	return high
}

// waitsFor takes in a LeaseDuration, of a replica or of another elector.
func (v *view) waitsFor(d time.Duration) {
	if d < foreignDuration*time.Second { // in session mode nobody waits for that
		v.longest = max(v.longest, min(d, maxLeaseDuration))
	}
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
			v.drop(ev.Lease.Name)
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
	for _, name := range slices.Clone(v.names) {
		if !listed[name] && v.leases[name].rv <= rv {
			v.drop(name)
		}
	}
	v.progress(rv)
	return true
}

// settled tells whether the watch has shown all that came before the state in
// e, so that the rest of the view is at least as fresh.
func (v *view) settled(e *entry) bool { return e.rv <= v.shown }

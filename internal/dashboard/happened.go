// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"slices"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// happened tells what must have happened between two looks at a group: first what
// befell members, which is mostly the reason for what became of shards, at last who
// is gone.
func happened(before, now status.Status, lastHolders map[string]string) []Entry {
	ofShards, bereft := shardEntries(before, now, lastHolders)
	befell, gone := memberEntries(before, now, bereft)
	return slices.Concat(befell, ofShards, gone)
}

// memberEntries goes by the member Lease, which the sessions of a replica share.
// Bereft are the identities that had something left to lose.
func memberEntries(before, now status.Status, bereft map[string]bool) (befell, gone []Entry) {
	old := make(map[string]status.Member, len(before.Members))
	for _, m := range before.Members {
		old[m.Lease] = m
	}
	for _, m := range now.Members {
		was, known := old[m.Lease]
		delete(old, m.Lease)
		e := Entry{Kind: memberKind(was, m, known, bereft[m.Identity]), Member: m.Pod}
		switch e.Kind {
		case "":
		case Left:
			gone = append(gone, e)
		case Lapsed, Ended:
			e.Shards = was.Shards
			befell = append(befell, e)
		default:
			befell = append(befell, e)
		}
	}
	for _, m := range before.Members {
		if _, is := old[m.Lease]; is && m.State != status.Ended {
			gone = append(gone, goneEntry(m, bereft[m.Identity]))
		}
	}
	return befell, gone
}

// goneEntry tells of a member whose Lease is gone. A replica removes it at the end of a
// leave, which takes less time than there is between two looks: so that it left is seen
// by what became of its shards, not by its word that it does.
func goneEntry(m status.Member, bereft bool) Entry {
	if bereft || m.State == status.Lapsed && !m.Leaving {
		return Entry{Kind: Vanished, Member: m.Pod, Shards: m.Shards}
	}
	return Entry{Kind: Left, Member: m.Pod}
}

// memberKind is what befell a member, empty if nothing did.
func memberKind(was, m status.Member, known, bereft bool) Kind {
	switch {
	case !known && !m.Current():
		return "" // a session that was over before it was seen
	case !known:
		return Joined
	case was.Identity != m.Identity:
		return Rejoined
	case was.State == m.State:
		return ""
	case m.State == status.Ended && m.Leaving && !bereft: // others who end a session leave the rest of its record as it was
		return Left
	case m.State == status.Ended:
		return Ended
	case m.State == status.Lapsed:
		return Lapsed
	case !was.Current():
		return Returned
	case m.State == status.Leaving:
		return Leaving
	case m.State == status.Cordoned:
		return Cordoned
	}
	return Uncordoned
}

// shardEntries also tells of the identities from which a shard was taken, or that
// are still named as the holder of one.
func shardEntries(before, now status.Status, lastHolders map[string]string) (entries []Entry, bereft map[string]bool) {
	bereft = map[string]bool{}
	old := make(map[string]status.Shard, len(before.Shards))
	for _, sh := range before.Shards {
		if sh.Lease != "" { // others only stand for shards that are yet to come
			old[sh.Name] = sh
		}
	}
	sessions := newSessions(before, now)
	for _, sh := range now.Shards {
		was, known := old[sh.Name]
		delete(old, sh.Name)
		switch {
		case sh.Lease == "":
		case !known && sh.Holder == "":
			entries = append(entries, Entry{Kind: Added, Shard: sh.Name})
		case was.Holder != "" && sh.Holder == "":
			entries = append(entries, Entry{Kind: Released, Shard: sh.Name, From: status.PodOf(was.Holder), Epoch: sh.Epoch})
		case sh.Holder != "" && (sh.Holder != was.Holder || sh.Epoch != was.Epoch):
			e := sessions.began(was, sh, lastHolders[sh.Name])
			entries = append(entries, e)
			bereft[was.Holder] = bereft[was.Holder] || e.Kind == TakenOver
		}
		bereft[sh.Holder] = true
	}
	for _, sh := range before.Shards {
		if _, gone := old[sh.Name]; gone {
			entries = append(entries, Entry{Kind: Removed, Shard: sh.Name})
		}
	}
	return entries, bereft
}

// sessions tells of identities what became of their sessions.
type sessions struct{ before, now map[string]status.Member }

func newSessions(before, now status.Status) sessions {
	s := sessions{before: map[string]status.Member{}, now: map[string]status.Member{}}
	for _, m := range before.Members {
		s.before[m.Identity] = m
	}
	for _, m := range now.Members {
		s.now[m.Identity] = m
	}
	return s
}

// began tells of a term that has begun. The last holder is that of a shard that
// nobody held.
func (s sessions) began(was, now status.Shard, lastHolder string) Entry {
	e := Entry{Kind: TakenOver, Shard: now.Name, From: status.PodOf(was.Holder), To: status.PodOf(now.Holder), Epoch: now.Epoch}
	switch {
	case was.Holder == "":
		e.Kind, e.From = Acquired, status.PodOf(lastHolder)
	case sameReplica(was.Holder, now.Holder):
		e.Kind = Reclaimed
	case s.inOrder(was, now):
		e.Kind = HandedOver
	}
	return e
}

// inOrder tells whether a shard was given away by its holder, rather than taken.
// The record says so, anew, unless the shard was given back and claimed between two
// looks: then nobody could have taken it from a session that goes on; and a leaver
// that renews its shards one by one always gives them back.
func (s sessions) inOrder(was, now status.Shard) bool {
	given := !now.Left.IsZero() && !now.Left.Equal(was.Left) // a foreign elector keeps what it finds
	return given || s.now[was.Holder].Lease != "" && s.now[was.Holder].Current() ||
		!now.Session && s.before[was.Holder].State == status.Leaving
}

// sameReplica tells whether two identities are sessions of one replica.
func sameReplica(a, b string) bool {
	if a == b {
		return true
	}
	first, errA := lease.ParseIdentity(a)
	second, errB := lease.ParseIdentity(b)
	return errA == nil && errB == nil && first.SameReplica(second)
}

// move tells whether the entry is that of a shard that came to another member than
// its last.
func (e Entry) move() bool {
	return e.Kind == HandedOver || e.Kind == TakenOver || e.Kind == Acquired && e.From != "" && e.From != e.To
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Status of a group. Its JSON form is stable: fields are added, never changed.
type Status struct {
	Group     string   `json:"group"`
	Namespace string   `json:"namespace"`
	Members   []Member `json:"members"`
	Shards    []Shard  `json:"shards"`
	// Fence is left empty by [Of], since it is not in the Leases: see [Inspect].
	Fence Fence `json:"fence,omitzero"`
}

// Of reads the status of a group from its Leases, at the time now. Members are
// sorted by identity, shards by name and, within a family, by bucket.
func Of(group, namespace string, leases []coordinationv1.Lease, now time.Time) Status {
	r := decode(group, leases, now)
	s := Status{Group: group, Namespace: namespace, Members: []Member{}, Shards: []Shard{}}
	held := map[string]int{}
	for name, record := range r.shards {
		if r.hidden(name, record) {
			continue
		}
		shard := r.shard(name, record, now)
		if shard.State != Unheld {
			held[shard.Holder]++
		}
		s.Shards = append(s.Shards, shard)
	}
	s.Shards = append(s.Shards, place(r.reports(), s.Shards)...)
	r.explain(s.Shards)
	for _, m := range r.members {
		m.Shards = held[m.Identity]
		s.Members = append(s.Members, m.Member)
	}
	slices.SortFunc(s.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Identity, b.Identity), cmp.Compare(a.Lease, b.Lease))
	})
	slices.SortFunc(s.Shards, func(a, b Shard) int { return compareShards(a.Name, b.Name) })
	return s
}

// records are a group's Leases, decoded.
type records struct {
	members []*memberRecord
	// sessions are the members by identity.
	sessions map[string]*memberRecord
	shards   map[string]lease.Shard
	layout   lease.Layout
}

// memberRecord is a member with what its Lease says beyond the status.
type memberRecord struct {
	Member
	loads    map[string]int64  // by shard
	problems map[string]string // by shard or family
}

func decode(group string, leases []coordinationv1.Lease, now time.Time) records {
	r := records{sessions: map[string]*memberRecord{}, shards: map[string]lease.Shard{}}
	for i := range leases {
		switch l := &leases[i]; l.Labels[lease.LabelKind] {
		case lease.KindMember:
			record := lease.DecodeMember(l)
			m := &memberRecord{Member: memberOf(record, now), loads: record.Load, problems: record.Problems}
			r.members = append(r.members, m)
			r.sessions[m.Identity] = m
		case lease.KindShard:
			r.shards[strings.TrimPrefix(l.Name, group+".")] = lease.DecodeShard(l)
		case lease.KindLayout:
			r.layout = lease.DecodeLayout(l)
		}
	}
	return r
}

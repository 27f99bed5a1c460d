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
}

// Of reads the status of a group from its Leases, at the time now. Members are
// sorted by identity, shards by name and, within a family, by bucket.
func Of(group, namespace string, leases []coordinationv1.Lease, now time.Time) Status {
	r := decode(group, leases, now)
	s := Status{Group: group, Namespace: namespace, Members: []Member{}, Shards: []Shard{}}
	held := map[string]int{}
	for name, record := range r.shards {
		problems := r.problems[name]
		delete(r.problems, name)
		if record.Sealed > 0 && record.Holder == "" {
			continue // of an earlier layout: nobody will hold it again
		}
		shard := r.shard(name, record, now)
		shard.Problem = problemOf(shard, problems)
		if shard.State != Unheld {
			held[shard.Holder]++
		}
		s.Shards = append(s.Shards, shard)
	}
	// What has no Lease yet, such as a type that is not served, is reported by
	// the members alone.
	for name, reports := range r.problems {
		shard := Shard{Name: name, Bucket: bucketOf(name), State: Unheld}
		shard.Problem = problemOf(shard, reports)
		s.Shards = append(s.Shards, shard)
	}
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
	// problems: shard -> member -> what fails there.
	problems map[string]map[string]string
}

// memberRecord is a member with what its Lease says beyond the status.
type memberRecord struct {
	Member
	loads map[string]int64 // by shard
}

func decode(group string, leases []coordinationv1.Lease, now time.Time) records {
	r := records{
		sessions: map[string]*memberRecord{}, shards: map[string]lease.Shard{}, problems: map[string]map[string]string{},
	}
	for i := range leases {
		switch l := &leases[i]; l.Labels[lease.LabelKind] {
		case lease.KindMember:
			record := lease.DecodeMember(l)
			m := &memberRecord{Member: memberOf(record, now), loads: record.Load}
			r.members = append(r.members, m)
			r.sessions[m.Identity] = m
			if m.Current() {
				r.addProblems(record.Problems, m.Member)
			}
		case lease.KindShard:
			r.shards[strings.TrimPrefix(l.Name, group+".")] = lease.DecodeShard(l)
		case lease.KindLayout:
			r.layout = lease.DecodeLayout(l)
		}
	}
	return r
}

// addProblems takes in what a member reports.
func (r *records) addProblems(reported map[string]string, m Member) {
	for shard, problem := range reported {
		if r.problems[shard] == nil {
			r.problems[shard] = map[string]string{}
		}
		r.problems[shard][m.Identity] = m.Pod + ": " + problem
	}
}

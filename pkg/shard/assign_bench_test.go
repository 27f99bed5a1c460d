// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

// BenchmarkAssign is of groups as they are, and of one far beyond [lease.MaxShards]; with
// equal loads, and with loads of which few are heavy. All but stable is what happens once
// in a while: nothing is held, a member joins, one leaves, half of the members are of a
// newer revision, one member has all.
func BenchmarkAssign(b *testing.B) {
	for _, size := range []struct{ shards, members int }{{50, 3}, {200, 10}, {10_000, 1000}} {
		b.Run(fmt.Sprintf("shards=%d/members=%d", size.shards, size.members), func(b *testing.B) {
			benchmarkAssign(b, size.shards, size.members)
		})
	}
}

func benchmarkAssign(b *testing.B, shards, members int) {
	b.Helper()
	names := shardNames(shards)
	even := snapshot(memberNames(members), names, nil)
	hold(&even, Assign(even))
	weighted := snapshot(memberNames(members), names, nil)
	zipf(&weighted, 10_000, 0.8)
	hold(&weighted, Assign(weighted))
	joined, left := snapshot(memberNames(members+1), names, nil), snapshot(memberNames(members-1), names, nil)
	for _, tc := range []struct {
		name   string
		from   lease.Snapshot
		change func(*lease.Snapshot)
	}{
		{"stable", even, func(*lease.Snapshot) {}},
		{"stable-weighted", weighted, func(*lease.Snapshot) {}},
		{"orphans", even, func(s *lease.Snapshot) { hold(s, nil) }},
		{"orphans-weighted", weighted, func(s *lease.Snapshot) { hold(s, nil) }},
		{"join", even, func(s *lease.Snapshot) { s.Members = joined.Members }},
		{"join-weighted", weighted, func(s *lease.Snapshot) { s.Members = joined.Members }},
		{"leave", even, func(s *lease.Snapshot) { s.Members = left.Members }},
		{"leave-weighted", weighted, func(s *lease.Snapshot) { s.Members = left.Members }},
		{"half-updated", even, func(s *lease.Snapshot) {
			for i := range s.Members {
				s.Members[i].Revision = int64(i % 2)
			}
			s.TargetReplicas = members
		}},
		{"one-has-all", weighted, func(s *lease.Snapshot) {
			for i := range s.Shards {
				s.Shards[i].Holder = s.Members[0].Identity
			}
		}},
	} {
		s := snapshot(memberNames(members), names, holders(tc.from))
		for i := range s.Shards {
			s.Shards[i].Load = tc.from.Shards[i].Load
		}
		tc.change(&s)
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Assign(s)
			}
		})
	}
}

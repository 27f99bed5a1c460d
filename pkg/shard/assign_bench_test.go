// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

// BenchmarkAssign is of 10,000 shards over 1,000 members.
func BenchmarkAssign(b *testing.B) {
	const members, shards = 1000, 10_000
	names := shardNames(shards)
	even := snapshot(memberNames(members), names, nil)
	hold(&even, Assign(even))
	weighted := snapshot(memberNames(members), names, nil)
	zipf(&weighted, 10_000, 0.8)
	hold(&weighted, Assign(weighted))
	for _, tc := range []struct {
		name   string
		from   lease.Snapshot
		change func(*lease.Snapshot)
	}{
		{"stable", even, func(*lease.Snapshot) {}},
		{"stable-weighted", weighted, func(*lease.Snapshot) {}},
		{"orphans", even, func(s *lease.Snapshot) { hold(s, nil) }},
		{"orphans-weighted", weighted, func(s *lease.Snapshot) { hold(s, nil) }},
		{"join", even, func(s *lease.Snapshot) { s.Members = snapshot(memberNames(members+1), names, nil).Members }},
		{"join-weighted", weighted, func(s *lease.Snapshot) { s.Members = snapshot(memberNames(members+1), names, nil).Members }},
		{"leave", even, func(s *lease.Snapshot) { s.Members = snapshot(memberNames(members-1), names, nil).Members }},
		{"leave-weighted", weighted, func(s *lease.Snapshot) { s.Members = snapshot(memberNames(members-1), names, nil).Members }},
		{"half-updated", even, func(s *lease.Snapshot) {
			s.Members = snapshot(memberNames(members), names, nil).Members
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

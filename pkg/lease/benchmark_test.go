// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// BenchmarkStep is one event of the watch in a settled group: what a replica
// does for every heartbeat of every other.
func BenchmarkStep(b *testing.B) {
	for _, size := range []struct{ members, shards int }{{3, 10}, {10, 200}} {
		b.Run(fmt.Sprintf("%d-members-%d-shards", size.members, size.shards), func(b *testing.B) {
			w := sim.New(1, lease.Default)
			var names []string
			for i := range size.shards {
				names = append(names, fmt.Sprintf("s%d", i))
			}
			w.SetShards(names...)
			w.Config.Assign = func(s lease.Snapshot) lease.Plan {
				plan := lease.Plan{}
				for i, shard := range s.Shards {
					plan[shard.Name] = s.Members[i%len(s.Members)].Identity
				}
				return plan
			}
			w.InstallLayout()
			for i := range size.members {
				w.Start(fmt.Sprintf("m%d", i))
			}
			w.Run(10 * time.Second)
			if w.Checks.Violation != nil {
				b.Fatal(w.Checks.Violation)
			}
			r := w.Replicas[0]
			now := r.Clock.At(w.Now())
			for b.Loop() {
				r.Election.Step(now, lease.Tick{})
			}
		})
	}
}

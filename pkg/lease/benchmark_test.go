// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkStep is one event of the watch in a settled group: what a replica
// does for every heartbeat of every other.
func BenchmarkStep(b *testing.B) {
	for _, size := range []struct{ members, shards int }{{3, 10}, {10, 200}} {
		b.Run(fmt.Sprintf("%d-members-%d-shards", size.members, size.shards), func(b *testing.B) {
			w := newWorld(1, Default)
			var names []string
			for i := range size.shards {
				names = append(names, fmt.Sprintf("s%d", i))
			}
			w.setShards(names...)
			w.config.Assign = func(s Snapshot) Plan {
				plan := Plan{}
				for i, shard := range s.Shards {
					plan[shard.Name] = s.Members[i%len(s.Members)].Identity
				}
				return plan
			}
			w.installLayout()
			for i := range size.members {
				w.start(fmt.Sprintf("m%d", i))
			}
			w.run(10 * time.Second)
			if w.checks.violation != "" {
				b.Fatal(w.checks.violation)
			}
			r := w.replicas[0]
			now := r.clock.at(w.now)
			for b.Loop() {
				r.election.Step(now, Tick{})
			}
		})
	}
}

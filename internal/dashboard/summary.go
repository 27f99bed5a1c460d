// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/shard"
)

// summaryOf counts what is held and who is ready; moves are counted elsewhere.
func summaryOf(group status.Status) Summary {
	s := Summary{Imbalance: group.Imbalance(shard.IdleWeight)}
	for _, m := range group.Members {
		if m.State == status.Ended {
			continue
		}
		s.Members++
		if m.Ready && m.Current() {
			s.MembersReady++
		}
	}
	for _, sh := range group.Shards {
		if !sh.Unserved {
			s.Shards++
		}
		if sh.State != status.Unheld {
			s.ShardsHeld++
		}
	}
	return s
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"fmt"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/shard"
)

// tolerance is the default of the configuration, which the example does not change.
const tolerance = 0.1

// balanced holds once so many live and ready members, and no others, hold all shards and share their weight evenly, as G6 of the
// README says: what two of them hold differs by a tenth of the mean at most, or by no more than the lightest shard that could move.
// Where nothing is busy that is to say by one shard at most. On a machine that is too small for the cluster the replicas are busy.
func balanced(shards, members int) fleet.Condition {
	return fleet.All(fleet.Held(shards), func(now status.Status) error {
		weights, lightest, sum := map[string]int64{}, map[string]int64{}, int64(0)
		for _, m := range now.Members {
			if !m.Current() {
				continue
			}
			if m.State != status.Live || !m.Ready {
				return fmt.Errorf("%s is %s, ready: %t", m.Pod, m.State, m.Ready)
			}
			weights[m.Pod] = 0
		}
		if len(weights) != members {
			return fmt.Errorf("there are %d members, not %d", len(weights), members)
		}
		for _, s := range now.Shards {
			holder, weight := status.PodOf(s.Holder), shard.IdleWeight+s.Load
			if lightest[holder] == 0 || weight < lightest[holder] {
				lightest[holder] = weight
			}
			weights[holder] += weight
			sum += weight
		}
		margin := int64(tolerance * float64(sum) / float64(members))
		for a, heavy := range weights {
			for b, light := range weights {
				if differ := heavy - light; differ > max(margin, lightest[a]) {
					return fmt.Errorf("%s holds %d thousandths of a worker more than %s: %v", a, differ, b, weights)
				}
			}
		}
		return nil
	})
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"maps"
	"slices"

	"github.com/shardctl/shardctl/internal/status"
)

// Condition returns nil if it holds, else what is missing.
type Condition func(status.Status) error

// All holds if all of the conditions do.
func All(conditions ...Condition) Condition {
	return func(s status.Status) error {
		for _, is := range conditions {
			if err := is(s); err != nil {
				return err
			}
		}
		return nil
	}
}

// Held holds once there are (at least) so many shards and every one is held by a live member.
func Held(shards int) Condition {
	return func(s status.Status) error {
		if len(s.Shards) < shards {
			return fmt.Errorf("there are %d shards, not %d", len(s.Shards), shards)
		}
		for _, shard := range s.Shards {
			if !inPlace(shard) {
				return fmt.Errorf("shard %s is %s", shard.Name, shard.State)
			}
		}
		return nil
	}
}

// inPlace tells whether the shard is where it should be, for all that its holder knows.
func inPlace(shard status.Shard) bool {
	return shard.State == status.Held || shard.State == status.Pinned
}

// Spread holds once all shards are held, and evenly: by (exactly) so many members that are live and ready, of which none
// holds two more than another.
func Spread(shards, members int) Condition {
	return All(Held(shards), func(s status.Status) error {
		spread := SpreadOf(s)
		if len(spread) != members {
			return fmt.Errorf("there are %d live and ready members, not %d", len(spread), members)
		}
		counts := slices.Sorted(maps.Values(spread))
		if len(counts) > 0 && counts[len(counts)-1]-counts[0] > 1 {
			return fmt.Errorf("the shards are not spread evenly: %v", spread)
		}
		return nil
	})
}

// HeldBy holds if the shard is held by a live session of the Pod.
func HeldBy(shard, pod string) Condition {
	return func(s status.Status) error {
		if holder, ok := HolderOf(s, shard); !ok || holder != pod {
			return fmt.Errorf("shard %s is held by %q, not by %q", shard, holder, pod)
		}
		return nil
	}
}

// Leads holds if a live session of the Pod holds any shard.
func Leads(pod string) Condition {
	return func(s status.Status) error {
		if len(ShardsOf(s, pod)) == 0 {
			return fmt.Errorf("%s holds no shard", pod)
		}
		return nil
	}
}

// Healthy holds once no live member reports a problem.
func Healthy(s status.Status) error {
	for _, shard := range s.Shards {
		if shard.Problem != "" {
			return fmt.Errorf("shard %s has a problem: %s", shard.Name, shard.Problem)
		}
	}
	return nil
}

// Gone holds once the Pod has no member that could still act.
func Gone(pod string) Condition {
	return func(s status.Status) error {
		for _, member := range s.Members {
			if member.Pod == pod && member.Current() {
				return fmt.Errorf("member %s is still %s", pod, member.State)
			}
		}
		return nil
	}
}

// SpreadOf returns how many shards each live and ready member holds, by its Pod.
func SpreadOf(s status.Status) map[string]int {
	spread := map[string]int{}
	for _, member := range s.Members {
		if member.State == "live" && member.Ready {
			spread[member.Pod] += member.Shards
		}
	}
	return spread
}

// HolderOf returns the Pod that holds a shard by a live session, and whether one does.
func HolderOf(s status.Status, shard string) (pod string, held bool) {
	for _, sh := range s.Shards {
		if sh.Name == shard && inPlace(sh) {
			return status.PodOf(sh.Holder), true
		}
	}
	return "", false
}

// ShardsOf returns the shards that the Pod holds by a live session, sorted.
func ShardsOf(s status.Status, pod string) []string {
	var shards []string
	for _, sh := range s.Shards {
		if inPlace(sh) && status.PodOf(sh.Holder) == pod {
			shards = append(shards, sh.Name)
		}
	}
	return shards
}

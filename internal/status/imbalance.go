// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

// Imbalance is by which share of their mean the most loaded one exceeds it, of the
// members that new work goes to: live, ready, and of the newest revision that any such
// member has. It is 0 if all have the same, or nothing.
//
// It goes by weight, as the assignment does, of what the members hold: a shard weighs its
// load, and idleWeight besides, in thousandths of a worker. See shard.IdleWeight.
func (s Status) Imbalance(idleWeight int64) float64 {
	weights := map[string]float64{} // by identity; as floats, of which no sum overflows
	var newest int64
	for _, m := range s.Members {
		if m.State != Live || !m.Ready || len(weights) > 0 && m.Revision < newest {
			continue
		}
		if m.Revision > newest {
			clear(weights)
		}
		newest, weights[m.Identity] = m.Revision, 0
	}
	var most, total float64
	for _, sh := range s.Shards {
		if weight, counts := weights[sh.Holder]; counts && sh.State.Active() {
			added := float64(idleWeight) + float64(max(sh.Load, 0))
			weights[sh.Holder] = weight + added
			total += added
			most = max(most, weight+added)
		}
	}
	if total == 0 {
		return 0
	}
	return most*float64(len(weights))/total - 1
}

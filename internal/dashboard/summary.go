// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import "github.com/shardctl/shardctl/internal/status"

// summaryOf counts what is held and who is ready; moves are counted elsewhere.
func summaryOf(group status.Status) Summary {
	s := Summary{Shards: len(group.Shards), Imbalance: imbalance(group.Members)}
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
		if sh.State != status.Unheld {
			s.ShardsHeld++
		}
	}
	return s
}

// imbalance is by which share of the mean load the most loaded member exceeds it, of
// those that shards are given to: live, ready, and of the newest revision.
func imbalance(members []status.Member) float64 {
	var revision, sum, most, n int64
	for _, m := range members {
		if m.State != status.Live || !m.Ready || n > 0 && m.Revision < revision {
			continue
		}
		if n == 0 || m.Revision > revision {
			revision, sum, most, n = m.Revision, 0, 0, 0
		}
		sum, most, n = sum+m.Load, max(most, m.Load), n+1
	}
	if sum <= 0 {
		return 0
	}
	return float64(most)*float64(n)/float64(sum) - 1
}

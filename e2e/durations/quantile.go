// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package durations counts measured times. Its test is a table.
package durations

import (
	"math"
	"slices"
	"time"
)

// Quantile is the least of the durations that a share of all are no longer than, by the nearest rank; 0 if there are none. The
// share is above 0 and up to 1; what is beyond counts as the nearest that is allowed.
func Quantile(of []time.Duration, share float64) time.Duration {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	rank := int(math.Ceil(share * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// handoffGap is for how long nobody worked for a shard that its last holder gave
// away in order: from the end of all its work, by its own wall clock, until the
// first reconcile of the next term begins, or could if there is nothing to
// reconcile; a role's Run is called. It is as exact as the two clocks are alike,
// and never below 0. There is none where the last holder gave nothing away.
func handoffGap(t lease.Term, began time.Time) (gap time.Duration, ok bool) {
	if t.Left.IsZero() {
		return 0, false
	}
	return max(0, began.Sub(t.Left)), true
}

// working notes that the first work of the tenure begins, or could.
func (t *tenure) working() {
	t.first.Do(func() {
		if t.onFirst != nil {
			t.onFirst(time.Now())
		}
	})
}

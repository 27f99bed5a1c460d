// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shardctl/shardctl/pkg/lease"
)

func TestHandoffGap(t *testing.T) {
	left := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		left  time.Time
		began time.Time
		gap   time.Duration
		ok    bool
	}{
		{"from the end of the work to the beginning of the next", left, left.Add(20 * time.Millisecond), 20 * time.Millisecond, true},
		{"clocks apart make no negative gap", left, left.Add(-time.Second), 0, true},
		{"no gap where nobody gave the shard away", time.Time{}, left, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			gap, ok := handoffGap(lease.Term{Left: test.left}, test.began)
			if gap != test.gap || ok != test.ok {
				t.Errorf("the gap is %s, %t; want %s, %t", gap, ok, test.gap, test.ok)
			}
		})
	}
}

// Of two types one has nothing to reconcile: that is ready for work at once, and counts too.
func TestHandoverIsAGapOfTheNewHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		a := c.start("a", quick)
		c.eventually(firstStart, "the first holds both types", func() bool { return len(a.holds()) == 2 })
		b := c.start("b", quick)
		registry := prometheus.NewRegistry()
		registry.MustRegister(b.metrics.gaps)
		c.eventually(5*time.Second, "each holds one type", func() bool { return len(a.holds()) == 1 && len(b.holds()) == 1 })
		c.stop(a)
		c.eventually(time.Second, "the second has begun to work for both", func() bool {
			got := seriesOf(t, registry, "handoff_gap_seconds")
			return len(got) == 1 && got[0].count == 2 && got[0].cause == string(lease.CauseTransfer)
		})
		if sum := seriesOf(t, registry, "handoff_gap_seconds")[0].value; sum > 0.1 {
			t.Errorf("the two gaps are %v s together, want less than a tenth", sum)
		}
		c.stop(b)
	})
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"testing"

	"github.com/shardctl/shardctl/internal/schedule"
)

// TestSchedules runs histories with a schedule, until a thousand ticks and more were
// started each way, and processes were killed at each step: no tick is started twice, and
// none is lost that must not be.
func TestSchedules(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes hundreds of histories")
	}
	t.Parallel()
	counts := map[schedule.Delivery]*ScheduleCounts{schedule.AtMostOnce: {}, schedule.AtLeastOnce: {}}
	enough := func(d schedule.Delivery) bool {
		return counts[d].Starts >= 1000 && !slices.Contains(counts[d].Killed[:], 0)
	}
	const most = 5000
	for seed := uint64(1); seed <= most && (!enough(schedule.AtMostOnce) || !enough(schedule.AtLeastOnce)); seed++ {
		h := NewHistory(seed)
		if s := h.World.schedules; s == nil || s.trouble == 0 || h.World.Checks.beyond || enough(s.spec.Delivery) {
			continue
		}
		if v := h.Run(); v != nil {
			t.Fatalf("seed %d: %s\n%s", seed, v, Command(seed, nil))
		}
		counts[h.World.schedules.spec.Delivery].add(h.World.schedules.Counts)
	}
	for delivery, c := range counts {
		if !enough(delivery) {
			t.Errorf("%s: %d ticks were started; killed at each step: %d", delivery, c.Starts, c.Killed)
		}
		t.Logf("%s: %+v", delivery, *c)
	}
	if lost := counts[schedule.AtLeastOnce].Lost; lost > 0 {
		t.Errorf("%d ticks that were claimed were not started, at least once", lost)
	}
	if again := counts[schedule.AtMostOnce].Repeats; again > 0 {
		t.Errorf("%d ticks were started again, at most once", again)
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/sim"
)

// TestControl: the simulator finds what is known to be wrong with client-go's
// elector, and nothing once that counts from the send.
func TestControl(t *testing.T) {
	const histories = 1000
	for _, test := range []struct {
		name                  string
		fromSend, clocksApart bool
	}{
		{"counted from the reply", false, false},
		{"counted from the send", true, false},
		{"counted from the reply, clocks apart", false, true},
		{"counted from the send, clocks apart", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			terms, overlaps, longest := 0, 0, time.Duration(0)
			for seed := range uint64(histories) {
				c := sim.RunControl(seed, test.fromSend, test.clocksApart)
				terms += c.Terms
				overlaps += c.Overlaps
				longest = max(longest, c.Longest)
			}
			t.Logf("%d histories, %d terms: two led %d times, for up to %s", histories, terms, overlaps, longest)
			if terms < 5*histories {
				t.Errorf("%d terms in %d histories: too few to prove anything", terms, histories)
			}
			if (overlaps > 0) == test.fromSend {
				t.Errorf("two led %d times", overlaps)
			}
		})
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"testing"
)

// Many histories without two holders outside the clock bound look at clocks that
// are not far enough apart; a few prove nothing either way.
func TestOverlapsAreMissedInManyHistories(t *testing.T) {
	const overlaps = "two holders outside the clock bound"
	for _, test := range []struct {
		histories, overlaps int
		want                bool
	}{
		{enoughToOverlap - 1, 0, false},
		{enoughToOverlap, 0, true},
		{enoughToOverlap, 1, false},
	} {
		s := Summary{Histories: test.histories, Overlaps: test.overlaps}
		if got := slices.Contains(s.Missing(), overlaps); got != test.want {
			t.Errorf("%d overlaps in %d histories: missed is %t, want %t", test.overlaps, test.histories, got, test.want)
		}
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
	"time"
)

func TestHandOffFigures(t *testing.T) {
	slow, overlap := gaps{110 * time.Millisecond}, gaps{-time.Millisecond}
	for _, test := range []struct {
		name   string
		who    contender
		gaps   gaps
		missed []string
	}{
		{"slow, session mode", session, slow, []string{"gap_p50", "gap_p99"}},
		{"slow, lease mode", leaseMode, slow, nil},
		{"slow, others", knative, slow, nil},
		{"two at once", leaseMode, overlap, []string{"overlaps"}},
		{"two at once, others", clientGo, overlap, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newTestBench()
			if median := b.addHandOffs(span{handOffGap, test.who}, lapse{test.gaps, 1}); median != test.gaps.in(time.Millisecond)[0] {
				t.Errorf("the median is %v ms, and there is one gap: %v", median, test.gaps)
			}
			if missed := missedFigures(b); !slices.Equal(missed, test.missed) {
				t.Errorf("targets of %v are missed, want %v", missed, test.missed)
			}
		})
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package durations

import (
	"slices"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	before := slices.Clone(hundred)
	for _, test := range []struct {
		of    []time.Duration
		share float64
		want  time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.5, 7},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{3, 1, 2}, 0.5, 2},
		{[]time.Duration{4, 3, 2, 1}, 0.5, 2},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{hundred, 2, 100},
	} {
		if got := Quantile(test.of, test.share); got != test.want {
			t.Errorf("quantile %v of %v is %d, want %d", test.share, test.of, got, test.want)
		}
	}
	if !slices.Equal(hundred, before) {
		t.Error("the durations were put in order where they are")
	}
}

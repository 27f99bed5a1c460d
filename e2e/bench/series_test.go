// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
)

func TestSeriesAreThinned(t *testing.T) {
	values := make([]float64, 2500)
	for i := range values {
		values[len(values)-1-i] = float64(i)
	}
	s := newSeries("gap", session, "ms", values)
	if s.Count != 2500 || len(s.Values) != 1000 || s.Values[0] != 0 || s.Values[999] != 2499 || !slices.IsSorted(s.Values) {
		t.Errorf("of %d there are %d, from %v to %v", s.Count, len(s.Values), s.Values[0], s.Values[999])
	}
	few := newSeries("gap", session, "ms", []float64{3, 1.23456, -2})
	if !slices.Equal(few.Values, []float64{-2, 1.235, 3}) || few.Count != 3 {
		t.Errorf("of three there are %v", few)
	}
	if none := newSeries("gap", session, "ms", nil); none.Count != 0 || len(none.Values) != 0 {
		t.Errorf("of none there are %v", none)
	}
}

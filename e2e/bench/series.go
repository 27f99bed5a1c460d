// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
)

// maxValues bounds what is kept of a series: plots show no more.
const maxValues = 1000

// series are the values that figures were computed from.
type series struct {
	Name string    `json:"name"`
	Who  contender `json:"who,omitempty"`
	Unit string    `json:"unit,omitempty"`
	// Count is how many there were.
	Count int `json:"count"`
	// Values are in ascending order, in four significant digits; of more than 1,000 there are 1,000 evenly spaced ones, with the
	// least and the greatest.
	Values []float64 `json:"values"`
}

func newSeries(name string, who contender, unit string, values []float64) series {
	return series{Name: name, Who: who, Unit: unit, Count: len(values), Values: thin(values)}
}

func thin(values []float64) []float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	kept := make([]float64, min(len(sorted), maxValues))
	for i := range kept {
		at := i
		if len(sorted) > maxValues {
			at = i * (len(sorted) - 1) / (maxValues - 1)
		}
		kept[i] = toDigits(sorted[at], 4)
	}
	return kept
}

// toDigits rounds to significant digits.
func toDigits(v float64, digits int) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	scale := math.Pow10(digits - 1 - int(math.Floor(math.Log10(math.Abs(v)))))
	return math.Round(v*scale) / scale
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"

	"gonum.org/v1/plot"
)

// decades is a logarithmic scale from one power of ten to another. Values are put on it before they are plotted on an axis that
// is linear: bars begin at zero, which a logarithmic axis does not have.
type decades struct{ least, most float64 }

// decadesAround has all values that are above zero.
func decadesAround(values []float64) decades {
	least, most := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			least, most = min(least, v), max(most, v)
		}
	}
	if least > most {
		return decades{1, 10}
	}
	d := decades{math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(most)))}
	if d.least == d.most {
		d.most *= 10
	}
	return d
}

// at is how many decades a value is above the least; what is below that is at its place.
func (d decades) at(v float64) float64 { return math.Log10(max(v, d.least) / d.least) }

// mark lets an axis show the scale: a tick at each power of ten, labelled as people say it, and eight without a label up to the
// next.
func (d decades) mark(axis *plot.Axis, label func(v float64) string) {
	var ticks plot.ConstantTicks
	for e := math.Log10(d.least); e <= math.Log10(d.most); e++ {
		ten := math.Pow(10, e)
		ticks = append(ticks, plot.Tick{Value: d.at(ten), Label: label(ten)})
		for i := 2.0; i < 10 && i*ten <= d.most; i++ {
			ticks = append(ticks, plot.Tick{Value: d.at(i * ten)})
		}
	}
	axis.Min, axis.Max, axis.Tick.Marker = 0, d.at(d.most), ticks
}

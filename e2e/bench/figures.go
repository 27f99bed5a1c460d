// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
)

// figure is one thing that was measured.
type figure struct {
	// Name says in snake_case what was measured and for which size, without unit and contender: "writes_200_shards_10_replicas".
	Name string
	// Who it is about; empty if it is about none of the contenders.
	Who contender
	// Unit is one of "1/s", "µs", "ms", "s", "KB", "MB", "times" and "%", or empty for a count.
	Unit  string
	Value float64

	target target
}

// target is what a figure has to be. The zero value allows everything.
type target struct {
	bound bound
	value float64
}

type bound string

const (
	atMost  bound = "at most"
	atLeast bound = "at least"
)

// atMost returns the figure with a target: the run ends with an error that lists what misses.
func (f figure) atMost(most float64) figure {
	f.target = target{atMost, most}
	return f
}

// atLeast is like atMost, the other way round.
func (f figure) atLeast(least float64) figure {
	f.target = target{atLeast, least}
	return f
}

// missed tells whether there is a target that the value misses. What is not a number, or not a finite one, misses every target:
// a ratio to nothing says that nothing was measured.
func (f figure) missed() bool {
	switch {
	case f.target.bound == "":
		return false
	case !f.finite():
		return true
	case f.target.bound == atMost:
		return f.Value > f.target.value
	}
	return f.Value < f.target.value
}

// finite tells whether the value is a number that can be stored.
func (f figure) finite() bool { return !math.IsNaN(f.Value) && !math.IsInf(f.Value, 0) }

func (f figure) String() string { return f.label() + ": " + quantity(f.Value, f.Unit) }

// label is the figure's name and who it is about.
func (f figure) label() string {
	if f.Who == "" {
		return f.Name
	}
	return f.Name + " (" + string(f.Who) + ")"
}

// String is the target as it is put into a table, without the unit.
func (t target) String() string {
	if t.bound == "" {
		return ""
	}
	return string(t.bound) + " " + number(t.value)
}

// figures are printed as they come, and kept with the part that is being measured.
type figures struct {
	out io.Writer
	// quick takes the targets from figures: what is measured in a hurry tells nothing.
	quick bool
	parts []measurement
}

// measurement is what a part has come to.
type measurement struct {
	Part    string `json:"part"`
	Heading string `json:"heading"`
	// Run is the one that the part is from, if that is not the one of the other results.
	Run *run `json:"run,omitempty"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
	// Failed parts could not be measured, or not all of them.
	Failed  bool     `json:"failed,omitempty"`
	Figures []figure `json:"figures"`
	Series  []series `json:"samples,omitempty"`
}

// begin says which part the figures belong to from now on.
func (f *figures) begin(p part) {
	f.parts = append(f.parts, measurement{Part: p.name, Heading: p.heading})
}

func (f *figures) current() *measurement { return &f.parts[len(f.parts)-1] }

// add prints a figure and keeps it.
func (f *figures) add(one figure) {
	if f.quick {
		one.target = target{}
	}
	m := f.current()
	m.Figures = append(m.Figures, one)
	fmt.Fprintln(f.out, one)
}

// sample keeps the raw values that figures are computed from; plots are made of them. It takes any number of them, in any
// order.
func (f *figures) sample(name string, who contender, unit string, values []float64) {
	m := f.current()
	m.Series = append(m.Series, newSeries(name, who, unit, values))
}

// significant is how many digits of a value are shown: no figure here is known better than to a thousandth.
const significant = 3

// number is a value in its significant digits, and in no other notation than a person's: whole numbers are not rounded.
func number(v float64) string {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', significant, 64), 64)
	if err != nil { // what FormatFloat writes is a number
		panic(err)
	}
	if v == float64(int64(v)) {
		rounded = v
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// quantity is a value with its unit.
func quantity(v float64, unit string) string {
	if unit == "" {
		return number(v)
	}
	return number(v) + " " + unit
}

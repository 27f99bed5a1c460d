// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// figure is one thing that was measured; its name has the unit.
type figure struct {
	name  string
	value float64
	// target, if it has one, is the most that the value may be.
	target    float64
	hasTarget bool
}

func (f figure) String() string { return f.name + ": " + number(f.value) }

func (f figure) missed() bool { return f.hasTarget && !(f.value <= f.target) } // not a number is a miss

// figures are printed as they come.
type figures struct {
	out io.Writer
	all []figure
}

// add prints a figure that has no target.
func (f *figures) add(name string, value float64) { f.print(figure{name: name, value: value}) }

// atMost prints a figure that has to be no more than its target.
func (f *figures) atMost(target float64, name string, value float64) {
	f.print(figure{name: name, value: value, target: target, hasTarget: true})
}

func (f *figures) print(one figure) {
	f.all = append(f.all, one)
	fmt.Fprintln(f.out, one)
}

// verdict is an error that lists the figures which miss their targets.
func (f *figures) verdict() error {
	var missed []string
	targets := 0
	for _, one := range f.all {
		if one.hasTarget {
			targets++
		}
		if one.missed() {
			missed = append(missed, fmt.Sprintf("  %s, want at most %s", one, number(one.target)))
		}
	}
	if len(missed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d targets are missed:\n%s", len(missed), targets, strings.Join(missed, "\n"))
}

// number prints thousandths, and nothing finer.
func number(v float64) string {
	const finest = 1000
	return strconv.FormatFloat(math.Round(v*finest)/finest, 'f', -1, 64)
}

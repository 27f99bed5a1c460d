// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var hundred gaps
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)*time.Second)
	}
	b := newTestBench()
	p50, p99, longest := b.quantiles(span{sinceKill, clientGo}, "s", hundred)
	for f, want := range map[figure]figure{
		p50:     {Name: "after_kill_p50", Who: clientGo, Unit: "s", Value: 50},
		p99:     {Name: "after_kill_p99", Who: clientGo, Unit: "s", Value: 99},
		longest: {Name: "after_kill_max", Who: clientGo, Unit: "s", Value: 100},
	} {
		if f != want {
			t.Errorf("%+v, want %+v", f, want)
		}
	}
	if series := b.current().Series; len(series) != 1 || series[0].Name != sinceKill || len(series[0].Values) != 100 {
		t.Errorf("the samples that are kept are %+v", series)
	}
}

func newTestBench() *bench {
	b := &bench{figures: figures{out: io.Discard}}
	b.begin(part{name: "test"})
	return b
}

func missedFigures(b *bench) []string {
	var missed []string
	for _, f := range b.current().Figures {
		if f.missed() {
			missed = append(missed, f.Name)
		}
	}
	return missed
}

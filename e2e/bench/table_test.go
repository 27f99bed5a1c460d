// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestTableOfContenders(t *testing.T) {
	m := measurement{Part: "handoff", Figures: []figure{
		{Name: "gap_p99", Who: clientGo, Unit: "ms", Value: 3676.037},
		figure{Name: "gap_p99", Who: session, Unit: "ms", Value: 133.83}.atMost(100),
		figure{Name: "gap_p99", Who: leaseMode, Unit: "ms", Value: 33.83}.atMost(100),
		{Name: "overlaps", Who: clientGo, Value: 7},
		figure{Name: "client_go_gap_p50_times_ours", Unit: "times", Value: 195.9}.atLeast(50),
	}}
	want := `|  | shardctl | shardctl, lease mode | client-go | target |
| --- | ---: | ---: | ---: | ---: |
| gap, 99th percentile, ms | **134** (missed) | 33.8 | 3680 | shardctl and shardctl, lease mode: at most 100 |
| overlaps |  |  | 7 |  |

|  | value | target |
| --- | ---: | ---: |
| client-go gap, median, as a multiple of ours | 196 | at least 50 |
`
	if got := m.markdown(); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

func TestTableOfSituations(t *testing.T) {
	m := measurement{Part: "assign", Figures: []figure{
		figure{Name: "stable_time", Unit: "ms", Value: 2.884}.atMost(50),
		figure{Name: "join_time", Unit: "ms", Value: 2.22}.atMost(60),
		figure{Name: "leave_moves", Value: 15}.atMost(60),
	}}
	want := `|  | stable | join | leave | target |
| --- | ---: | ---: | ---: | ---: |
| time, ms | 2.88 | 2.22 |  | stable: at most 50; join: at most 60 |
| moves |  |  | 15 | at most 60 |
`
	if got := m.markdown(); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

// A table of many contenders would be wider than a page: it has them as rows.
func TestTableOfManyContenders(t *testing.T) {
	m := measurement{Part: "rest"}
	for i := range maxColumns + 1 {
		who := contender(fmt.Sprint("cache ", i))
		m.Figures = append(m.Figures, figure{Name: "memory", Who: who, Unit: "KB", Value: float64(i)}, figure{Name: "cpu", Who: who, Unit: "s", Value: 1})
	}
	want := `|  | memory, KB | CPU, s |
| --- | ---: | ---: |
| cache 0 | 0 | 1 |
| cache 1 | 1 | 1 |
| cache 2 | 2 | 1 |
| cache 3 | 3 | 1 |
| cache 4 | 4 | 1 |
| cache 5 | 5 | 1 |
| cache 6 | 6 | 1 |
`
	if got := m.markdown(); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

func TestTablesOfSubjects(t *testing.T) {
	m := measurement{Part: "memory", Figures: []figure{
		{Name: "memory_per_object_deployments", Who: session, Unit: "KB", Value: 3},
		{Name: "memory_per_object_configmaps", Who: session, Unit: "KB", Value: 4},
		{Name: "json_per_object_configmaps", Unit: "KB", Value: 5},
	}}
	want := `Of deployments:

|  | shardctl |
| --- | ---: |
| memory per object, KB | 3 |

Of configmaps:

|  | shardctl |
| --- | ---: |
| memory per object, KB | 4 |

|  | value |
| --- | ---: |
| JSON per object, KB | 5 |
`
	if got := m.markdown(); got != want {
		t.Errorf("the tables are\n%s\nwant\n%s", got, want)
	}
}

// Every figure is in some table, whatever its name.
func TestTablesHaveAllFigures(t *testing.T) {
	for _, m := range madeUp().Parts {
		cells := 0
		for line := range strings.SplitSeq(m.markdown(), "\n") {
			cells += len(regexp.MustCompile(`\| (\*\*)?(-?[0-9]|NaN)`).FindAllString(line, -1))
		}
		if cells < len(m.Figures) {
			t.Errorf("%s: %d figures are in\n%s", m.Part, len(m.Figures), m.markdown())
		}
	}
}

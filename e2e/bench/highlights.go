// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// highlight is a row of the README's table.
type highlight struct {
	title string
	part  string
	// value is that of a contender, and false if there is none.
	value func(m measurement, who contender) (float64, bool)
}

func highlights() []highlight {
	return []highlight{
		{"requests on Leases, 200 shards on 10 replicas, 1/s", "requests", func(m measurement, who contender) (float64, bool) {
			_, rates := requestRates(m)
			rate, ok := rates[who]["200 shards, 10 replicas"]
			return rate, ok
		}},
		{"hand-off: nobody works for a shard, median, ms", "handoff", valueOf("gap_p50")},
		{"the same, 99th percentile, ms", "handoff", valueOf("gap_p99")},
		{"hand-off of work that takes 3 s to stop: shards that two replicas worked for at once, %", "overlap", valueOf("slow_stop_overlap_share")},
		{"crash: nobody works for a shard, 99th percentile, s", "takeover", valueOf(sinceKill + "_p99")},
		{"the same once the kubelet has reported it, s", "takeover", valueOf(sinceReport + "_p99")},
		{"reconciles that do nothing, 16 workers, 1/s", "throughput", valueOf("empty_reconciles_16_workers")},
		{"throughput of 5 replicas, as a multiple of that of one", "scaleout", valueOf("scaleout_5_replicas")},
		{"memory per cached Deployment of 4 KB, KB", "memory", func(m measurement, who contender) (float64, bool) {
			return valueOf("memory_per_object_"+deployments().name)(m, cacheOf[who])
		}},
	}
}

// cacheOf is the cache that people have who use a contender, as it is without further ado.
var cacheOf = map[contender]contender{session: session, clientGo: dynamicInformer, controllerRuntime: ctrlTyped}

// valueOf finds a figure by its name.
func valueOf(name string) func(measurement, contender) (float64, bool) {
	return func(m measurement, who contender) (float64, bool) {
		for _, f := range m.Figures {
			if f.Name == name && f.Who == who {
				return f.Value, true
			}
		}
		return 0, false
	}
}

// highlights are what the README says of the results.
func (r results) highlights() string {
	header := []string{""}
	for _, who := range contenders() {
		header = append(header, string(who))
	}
	lines := [][]string{header}
	for _, h := range highlights() {
		if m := r.part(h.part); m != nil {
			lines = append(lines, h.cells(*m))
		}
	}
	lines = slices.DeleteFunc(lines, func(cells []string) bool { return strings.Join(cells[1:], "") == "" })
	return markdownTable(lines) + fmt.Sprintf("\n%s, on %s: the servers, the replicas and what measures them.\n", r.When.Format(time.DateOnly), r.Machine)
}

func (h highlight) cells(m measurement) []string {
	cells := []string{h.title}
	for _, who := range contenders() {
		cell := ""
		if v, ok := h.value(m, who); ok {
			cell = number(v)
		}
		cells = append(cells, cell)
	}
	return cells
}

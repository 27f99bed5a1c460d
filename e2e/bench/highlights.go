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
	// of is the figure of a contender, and false if there is none.
	of func(m measurement, who contender) (figure, bool)
	// ratio is the name of the figure that has the target, if the row's do not: how ours compare with the others'.
	ratio string
}

func highlights() []highlight {
	perObject := "memory_per_object_" + deployments().name
	memory := "dynamic_times_ours_" + deployments().name
	return []highlight{
		{"requests on Leases, 200 shards on 10 replicas, 1/s", "requests", named("sum_200_shards_on_10_replicas"), "client_go_requests_times_ours_200_10"},
		{"hand-off: nobody works for a shard, median, ms", "handoff", named(handOffGap + "_p50"), "client_go_gap_p50_times_ours"},
		{"the same, 99th percentile, ms", "handoff", named(handOffGap + "_p99"), ""},
		{
			"shards that two worked for at once, at a hand-off of work that takes 3 s to stop (client-go's documentation asks to stop it first), %",
			"overlap", named("slow_stop_overlap_share"), "slow_stop_overlaps",
		},
		{"crash: nobody works for a shard, 99th percentile, s", "takeover", named(sinceKill + "_p99"), ""},
		{"the same once the kubelet has reported it, s", "takeover", named(sinceReport + "_p99"), ""},
		{"reconciles that do nothing, 16 workers, 1/s", "throughput", named("empty_reconciles_16_workers"), "empty_reconciles_16_workers_times_controller_runtime"},
		{"throughput of 5 replicas, as a multiple of that of one", "scaleout", named("scaleout_5_replicas"), ""},
		{
			"memory per cached Deployment of 4 KB, KB: the peers' defaults, which keep managedFields (client-go's dynamic informer, " +
				"controller-runtime's typed cache)", "memory", ofCache(perObject, defaultCaches), memory,
		},
		{"the same, all without managedFields, which shardctl never keeps", "memory", ofCache(perObject, slimCaches), ""},
	}
}

// The caches that people have who use a contender: as they are without further ado, and without managedFields.
var (
	defaultCaches = map[contender]contender{session: session, clientGo: dynamicInformer, controllerRuntime: ctrlTyped}
	slimCaches    = map[contender]contender{session: session, clientGo: dynamicSlim, controllerRuntime: ctrlTypedSlim}
)

// named finds a figure by its name.
func named(name string) func(measurement, contender) (figure, bool) {
	return func(m measurement, who contender) (figure, bool) {
		i := slices.IndexFunc(m.Figures, func(f figure) bool { return f.Name == name && f.Who == who })
		if i < 0 {
			return figure{}, false
		}
		return m.Figures[i], true
	}
}

func ofCache(name string, caches map[contender]contender) func(measurement, contender) (figure, bool) {
	return func(m measurement, who contender) (figure, bool) {
		if caches[who] == "" {
			return figure{}, false
		}
		return named(name)(m, caches[who])
	}
}

// highlights are what the README says of the results. Of parts that have failed it says nothing.
func (r results) highlights() string {
	header := []string{""}
	for _, who := range contenders() {
		header = append(header, string(who))
	}
	lines := [][]string{header}
	for _, h := range highlights() {
		if m := r.part(h.part); m != nil && !m.Failed {
			lines = append(lines, h.cells(*m))
		}
	}
	lines = slices.DeleteFunc(lines, func(cells []string) bool { return strings.Join(cells[1:], "") == "" })
	return markdownTable(lines) + fmt.Sprintf("\n%s, on %s: the servers, the replicas and what measures them.\n", r.When.Format(time.DateOnly), r.Machine)
}

func (h highlight) cells(m measurement) []string {
	title := h.title
	if m.Run != nil {
		title += " (other run)"
	}
	cells := []string{title}
	for _, who := range contenders() {
		text := ""
		if f, ok := h.of(m, who); ok {
			text = cell(f.Value, f.missed() || h.ratioMissed(m, who))
		}
		cells = append(cells, text)
	}
	return cells
}

// ratioMissed tells whether what the row comes to, compared with others, misses its target. A ratio that is about nobody in
// particular is that of the session mode.
func (h highlight) ratioMissed(m measurement, who contender) bool {
	return slices.ContainsFunc(m.Figures, func(f figure) bool {
		return f.Name == h.ratio && (f.Who == who || f.Who == "" && who == session) && f.missed()
	})
}

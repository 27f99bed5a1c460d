// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"slices"
	"testing"
	"time"
)

func TestLoadIsWhatCountersGrewBy(t *testing.T) {
	before := counters{verbs: map[string]float64{"GET": 100, "PUT": 50, "LIST": 7}, all: 200, watched: 30, cpu: 10}
	after := counters{verbs: map[string]float64{"GET": 160, "PUT": 60, "LIST": 7}, all: 300, watched: 40, cpu: 12}
	got := after.since(before, 20*time.Second)
	for verb, want := range map[string]float64{"GET": 3, "PUT": 0.5, "LIST": 0} {
		if got.verbs[verb] != want {
			t.Errorf("%v %s per second, want %v", got.verbs[verb], verb, want)
		}
	}
	if got.requests() != 3.5 || got.all != 5 || got.watched != 0.5 || got.cpu != 3 {
		t.Errorf("%v requests on Leases, %+v, want 3.5 per second, 5 in all, 0.5 events and 3 s of CPU in 30 s", got.requests(), got)
	}
}

// The figures whose names end with the size add up to all requests of that size: a plot is made so.
func TestRequestFigures(t *testing.T) {
	b := &bench{figures: figures{out: io.Discard}}
	b.begin(part{name: "requests"})
	size := requestSize{200, 10}
	b.addRequests(clientGo, size, load{verbs: map[string]float64{"GET": 500, "PUT": 90, "LIST": 6, "WATCH": 4}, all: 610, watched: 20, cpu: 9})
	b.addRequestTimes(size, map[contender]float64{clientGo: 600, leaseMode: 60})
	var got []string
	for _, f := range b.current().Figures {
		got = append(got, f.String())
	}
	want := []string{
		"get_200_shards_10_replicas (client-go): 500 1/s", "put_200_shards_10_replicas (client-go): 90 1/s",
		"others_200_shards_10_replicas (client-go): 10 1/s", "sum_200_shards_on_10_replicas (client-go): 600 1/s",
		"watch_events_on_leases_of_200_shards_on_10_replicas (client-go): 20 1/s",
		"requests_on_all_resources_of_200_shards_on_10_replicas (client-go): 610 1/s",
		"cpu_in_30_s_200_shards_10_replicas (client-go): 9 s",
		"client_go_requests_times_ours_200_10 (shardctl, lease mode): 10 times", // nothing is known of session mode
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

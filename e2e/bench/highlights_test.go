// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestHighlights(t *testing.T) {
	r := madeUp()
	r.part("takeover").Failed = true
	r.part("scaleout").Run = &run{}
	r.part("scaleout").Figures = []figure{figure{Name: "scaleout_5_replicas", Who: session, Unit: "times", Value: 4}.atLeast(4.5)}
	got := r.highlights()
	for _, want := range []string{
		// The ratio of the session mode misses its target, and so does the median of all but the first two.
		"| requests on Leases, 200 shards on 10 replicas, 1/s | **3.33** (missed) | 33.3 | 333 | 3330 | 33300 |\n",
		"| hand-off: nobody works for a shard, median, ms | 10 | 20 | **30** (missed) | **40** (missed) | **50** (missed) |\n",
		"| throughput of 5 replicas, as a multiple of that of one (other run) | **4** (missed) |  |  |  |  |\n",
		"controller-runtime's typed cache) | 2.3 |  | 4.6 |  | 6.9 |\n",
		"| the same, all without managedFields, which shardctl never keeps | 2.3 |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "crash") {
		t.Errorf("a part that has failed is in\n%s", got)
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestTitle(t *testing.T) {
	for name, want := range map[string]string{
		"put_200_shards_10_replicas":                           "PUT, 200 shards, 10 replicas",
		"sum_200_shards_on_10_replicas":                        "all verbs, 200 shards, 10 replicas",
		"cpu_in_30_s_200_shards_10_replicas":                   "CPU in 30 s, 200 shards, 10 replicas",
		"client_go_requests_times_ours_200_10":                 "client-go requests, as a multiple of ours, 200 shards, 10 replicas",
		"dynamic_times_ours_deployments":                       "dynamic, as a multiple of ours, of deployments",
		"client_go_gap_p50_times_ours":                         "client-go gap, median, as a multiple of ours",
		"after_kill_p99":                                       "after kill, 99th percentile",
		"gap_max":                                              "gap, maximum",
		"slow_stop_overlap_median":                             "slow stop: overlap, median",
		"3_replicas_max_to_mean_after_update":                  "3 replicas: max to mean after update",
		"empty_reconciles_4_workers":                           "empty reconciles, 4 workers",
		"empty_reconciles_1_workers_client_go_queue_best":      "empty reconciles, 1 worker, client-go queue, best",
		"empty_reconciles_16_workers_times_controller_runtime": "empty reconciles, 16 workers, as a multiple of controller-runtime's",
		"scaleout_5_replicas":                                  "throughput of 5 replicas, as a multiple of that of one",
		"scaleout_5_replicas_loads_known":                      "throughput of 5 replicas when loads are known, as a multiple of that of one",
		"scaleout_throughput_5_replicas_loads_known":           "throughput, 5 replicas, loads known",
		"watch_events_on_leases_of_50_shards_on_3_replicas":    "watch events on Leases, 50 shards, 3 replicas",
		"requests_on_leases_idle":                              "requests on Leases, idle",
		"scaleout_steady_1_replicas":                           "steady, 1 replica",
		"start_4_types_10000_objects_each":                     "start, 4 types, 10000 objects each",
		"start_4_types_10000_objects_each_own_memory":          "start, 4 types, 10000 objects each: own memory",
	} {
		if got := title(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

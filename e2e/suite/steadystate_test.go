// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

// A group in which no shard moves costs one request per replica and RenewInterval on Leases, the heartbeat, and nothing else,
// however much work it does. This test does not run in parallel with others: the API server counts the requests of all.
func TestSteadyStateCostsHeartbeatsOnly(t *testing.T) {
	const replicas, each, heartbeats = 3, 10, 10
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets", "gizmos", "sprockets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	all := c.watchAll(t, types)
	for _, o := range all {
		o.create(t, each)
	}
	d.launch(t, "a", "b", "c")
	d.await(t, "three replicas to share four shards", fleet.Spread(len(types), replicas))
	d.awaitHeartbeats(t, 2)
	stop := keepChanging(t, all, each)

	before, began := leaseRequests(t), time.Now()
	var after map[string]float64
	eventually(t, "some heartbeats were counted", func() error {
		after = leaseRequests(t)
		if sent := after["PUT"] - before["PUT"]; sent < replicas*heartbeats {
			return fmt.Errorf("%v so far", sent)
		}
		return nil
	})
	window := time.Since(began)
	changes := stop()

	for verb, n := range after {
		if sent := n - before[verb]; verb != "PUT" && sent != 0 {
			t.Errorf("%v requests %s on Leases were sent in %s, want none", sent, verb, window)
		}
	}
	sent := after["PUT"] - before["PUT"]
	intervals := float64(window) / float64(timings.RenewInterval)
	// Late heartbeats are no fault of theirs, on a busy machine; too many are.
	if most := replicas * (math.Ceil(intervals) + 1); sent > most {
		t.Errorf("%v heartbeats were sent in %s, want at most %v: one per replica each %s", sent, window, most, timings.RenewInterval)
	}
	t.Logf("%d replicas with %d shards reconciled %d changes and sent %v heartbeats in %s, one each %s would be %.1f",
		replicas, len(types), changes, sent, window.Round(time.Millisecond), timings.RenewInterval, replicas*intervals)
}

// leaseRequests is what the API server has counted so far, by verb.
func leaseRequests(t *testing.T) map[string]float64 {
	t.Helper()
	metrics, err := controlPlane.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	requests := map[string]float64{}
	for _, verb := range []string{"GET", "LIST", "WATCH", "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"} {
		requests[verb] = leaseSum(metrics, verb)
	}
	return requests
}

func leaseSum(metrics controlplane.Metrics, verb string) float64 {
	return metrics.Sum("apiserver_request_total", map[string]string{"resource": "leases", "verb": verb})
}

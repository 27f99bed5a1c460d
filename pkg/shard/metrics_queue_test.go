// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/shardctl/shardctl/internal/instrument"
)

// queued is a metric of the work queues in this process, by the name of the queue.
func queued(t *testing.T, r prometheus.Gatherer, metric string) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "workqueue_"+metric {
			continue
		}
		for _, m := range f.GetMetric() {
			all[m.GetLabel()[0].GetValue()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// Shards come and go, with work that is left undone; their controllers stay.
func TestQueuesAreMeasuredByController(t *testing.T) {
	r := prometheus.NewRegistry()
	if err := instrument.Register(r); err != nil {
		t.Fatal(err)
	}
	before := queued(t, r, "adds_total")
	synctest.Test(t, func(t *testing.T) {
		var all []runtime.Object
		for i := range 20 {
			all = append(all, withUID(object(gadgets, fmt.Sprint(i)), fmt.Sprintf("%x", i%16))) // 4 or more in each quarter
		}
		c := newCluster(t, all...)
		m := c.prepare("a")
		for _, name := range []string{"", "second"} {
			err := m.Add(Controller{Name: name, Resource: gadgets, Buckets: 4, Workers: 1, Reconcile: func(ctx context.Context, _ Key) (Result, error) {
				<-ctx.Done() // gets nothing done
				return Result{}, ctx.Err()
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		m.run()
		c.eventually(firstStart, "it holds all", func() bool { return len(m.holds()) == 4 })
		time.Sleep(time.Second)
		const first, second = "gadgets.example.com", "gadgets.example.com/second"
		for _, name := range []string{first, second} {
			if added := queued(t, r, "adds_total")[name] - before[name]; added < 20 {
				t.Errorf("%v keys were added to the queues of %s, want all 20", added, name)
			}
			if depth := queued(t, r, "depth")[name]; depth != 16 {
				t.Errorf("%v keys wait in the queues of %s, want those that 4 workers do not have", depth, name)
			}
			if longest := queued(t, r, "longest_running_processor_seconds")[name]; longest < 0.4 || longest > 1.1 {
				t.Errorf("a reconcile of %s lasts for %v s, want about 1", name, longest)
			}
		}
		c.stop(m)
		for _, metric := range []string{"depth", "unfinished_work_seconds", "longest_running_processor_seconds"} {
			for name, value := range queued(t, r, metric) {
				if value != 0 {
					t.Errorf("%s of %s is %v after the last term", metric, name, value)
				}
			}
		}
		for name := range queued(t, r, "depth") {
			if _, known := before[name]; !known && !slices.Contains([]string{first, second}, name) {
				t.Errorf("there is a queue called %s", name)
			}
		}
	})
}

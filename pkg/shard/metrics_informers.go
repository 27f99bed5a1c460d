// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/shardctl/shardctl/pkg/informers"
)

// informerMetrics tell of the caches that the work is done from.
type informerMetrics struct {
	set *informers.Set

	objects, synced, stale, requests *prometheus.Desc
}

func newInformerMetrics(set *informers.Set, group string) *informerMetrics {
	desc := func(name, help string, by ...string) *prometheus.Desc {
		return prometheus.NewDesc("shardctl_informer_"+name, help, append([]string{"resource", "version"}, by...), prometheus.Labels{"group": group})
	}
	return &informerMetrics{
		set:      set,
		objects:  desc("objects", "Objects of the type in the cache."),
		synced:   desc("synced", "1 while the cache has the whole list of the type's objects."),
		stale:    desc("stale_seconds", "For how long no list or watch of the type has succeeded; 0 if the last one did."),
		requests: desc("requests_total", "Lists of the type's objects, and watches that were opened, by verb and outcome.", "verb", "outcome"),
	}
}

// Describe implements [prometheus.Collector].
func (m *informerMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.objects, m.synced, m.stale, m.requests} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *informerMetrics) Collect(out chan<- prometheus.Metric) {
	for _, of := range m.set.Measure() {
		resource, version := of.Resource.GroupResource().String(), of.Resource.Version
		gauge := func(d *prometheus.Desc, value float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, resource, version)
		}
		gauge(m.objects, float64(of.Objects))
		synced := 0.0
		if of.Synced {
			synced = 1
		}
		gauge(m.synced, synced)
		gauge(m.stale, of.Failing.Seconds())
		for request, n := range of.Requests {
			outcome := "ok"
			if request.Failed {
				outcome = "failed"
			}
			out <- prometheus.MustNewConstMetric(m.requests, prometheus.CounterValue, float64(n), resource, version, request.Verb, outcome)
		}
	}
}

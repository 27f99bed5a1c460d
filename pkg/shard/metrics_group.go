// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shardctl/shardctl/internal/status"
)

// groupMetrics are the metrics that a follower's view is told by.
type groupMetrics struct {
	follower *follower

	unheld, moves, members, imbalance *prometheus.Desc
}

func newGroupMetrics(f *follower) *groupMetrics {
	desc := func(name, help string, by ...string) *prometheus.Desc {
		return prometheus.NewDesc("shardctl_"+name, help, by, prometheus.Labels{"group": f.group})
	}
	return &groupMetrics{
		follower:  f,
		unheld:    desc("shard_unheld_seconds", "For how long the shard has had no live holder, as this replica sees the group; 0 while it has one.", "shard"),
		moves:     desc("shard_moves_total", "Changes of the shard's holder that this replica has seen, whoever was involved.", "shard"),
		members:   desc("members", "Members of the group as this replica sees them, by state.", "state"),
		imbalance: desc("load_imbalance_ratio", "By how much the load of the most loaded ready member of the newest revision exceeds the mean of these."),
	}
}

// Describe implements [prometheus.Collector].
func (m *groupMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.unheld, m.moves, m.members, m.imbalance} {
		out <- d
	}
}

// Collect implements [prometheus.Collector]. There is nothing to tell before the group was
// listed.
func (m *groupMetrics) Collect(out chan<- prometheus.Metric) {
	f, now := m.follower, time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.following {
		return
	}
	f.noteAbsent(now)
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	families := f.families()
	for name, s := range f.shards {
		if _, configured := families[s.family]; !configured {
			continue
		}
		var unheld time.Duration
		if !s.unheld.IsZero() {
			unheld = now.Sub(s.unheld)
		}
		gauge(m.unheld, unheld.Seconds(), name)
		out <- prometheus.MustNewConstMetric(m.moves, prometheus.CounterValue, float64(s.moves), name)
	}
	for family, since := range f.absent {
		gauge(m.unheld, now.Sub(since).Seconds(), family)
	}
	for _, state := range []string{status.Live, status.Leaving, status.Cordoned, status.Lapsed} {
		gauge(m.members, float64(f.members[state]), state)
	}
	gauge(m.imbalance, f.imbalance)
}

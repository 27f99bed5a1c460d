// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import "github.com/prometheus/client_golang/prometheus"

// gateMetrics tell of the gates that the roles have at the moment.
type gateMetrics struct {
	roles func() []*role
	open  *prometheus.Desc
}

func newGateMetrics(roles func() []*role, group string) *gateMetrics {
	return &gateMetrics{roles: roles, open: prometheus.NewDesc("shardctl_gate_open",
		"1 while this replica is fit for the role, by the role's gate.", []string{"role"}, prometheus.Labels{"group": group})}
}

// Describe implements [prometheus.Collector].
func (m *gateMetrics) Describe(out chan<- *prometheus.Desc) { out <- m.open }

// Collect implements [prometheus.Collector].
func (m *gateMetrics) Collect(out chan<- prometheus.Metric) {
	for _, r := range m.roles() {
		if r.gate == nil {
			continue
		}
		open := 1.0
		if r.gate.problem() != "" {
			open = 0
		}
		out <- prometheus.MustNewConstMetric(m.open, prometheus.GaugeValue, open, r.Name)
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests the alerts and the dashboard in manifests/components/monitoring, and docs/alerts.md.
//
//   - By promtool, on made-up series: every alert fires when it should, and none does in a rolling update, when a replica
//     is cut off, when Prometheus was down (testdata).
//   - By a Prometheus server that scrapes three real replicas, while all of them are replaced: every query of the rules and
//     of the dashboard names only metrics and labels that there are, every panel gets data, and nothing fires.
//   - By reading: every alert has a section in docs/alerts.md and every section an alert; every panel of the dashboard says
//     what it shows and in which unit.
//
// Grafana itself is not started. Prometheus and promtool are built from the module in the folder prometheus.
package monitoring

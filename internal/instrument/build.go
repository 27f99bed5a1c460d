// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package instrument

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// Build is a metric, always 1, that tells by its labels which build of the program a
// replica of the group runs, and which version of Go made it.
func Build(group, version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "shardctl", Name: "build_info", Help: "1; the labels tell which build of shardctl this is.",
		ConstLabels: prometheus.Labels{"group": group, "version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestMetricsSum(t *testing.T) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(`
# TYPE requests_total counter
requests_total{resource="leases",verb="PUT",code="200"} 7
requests_total{resource="leases",verb="PUT",code="409"} 2
requests_total{resource="leases",verb="GET",code="200"} 1
requests_total{resource="pods",verb="PUT",code="200"} 100
# TYPE duration_seconds histogram
duration_seconds_bucket{verb="PUT",le="+Inf"} 3
duration_seconds_sum{verb="PUT"} 0.5
duration_seconds_count{verb="PUT"} 3
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		metric string
		labels map[string]string
		want   float64
	}{
		{"all series", "requests_total", nil, 110},
		{"one label", "requests_total", map[string]string{"resource": "leases"}, 10},
		{"two labels", "requests_total", map[string]string{"resource": "leases", "verb": "PUT"}, 9},
		{"a value that is not there", "requests_total", map[string]string{"resource": "nodes"}, 0},
		{"a label that is not there", "requests_total", map[string]string{"group": "leases"}, 0},
		{"a metric that is not there", "no_total", nil, 0},
		{"observations of a histogram", "duration_seconds", map[string]string{"verb": "PUT"}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Metrics(families).Sum(test.metric, test.labels); got != test.want {
				t.Errorf("the sum is %v, want %v", got, test.want)
			}
		})
	}
}

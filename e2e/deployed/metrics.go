// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"bytes"
	"fmt"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// counter sums up a replica's counters of one name that have the labels.
func (s *suite) counter(t *testing.T, pod, metric string, labels map[string]string) (sum float64) {
	t.Helper()
	for _, m := range s.scrape(t, pod)[metric].GetMetric() {
		if hasLabels(m, labels) {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

func (s *suite) scrape(t *testing.T, pod string) map[string]*dto.MetricFamily {
	t.Helper()
	text, err := s.Get(t.Context(), s.pod(t, pod), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(fmt.Errorf("metrics of %s: %w", pod, err))
	}
	return families
}

func hasLabels(m *dto.Metric, labels map[string]string) bool {
	found := 0
	for _, l := range m.GetLabel() {
		if value, wanted := labels[l.GetName()]; wanted && value == l.GetValue() {
			found++
		}
	}
	return found == len(labels)
}

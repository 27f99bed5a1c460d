// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"context"
	"fmt"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics are the (first) API server's metrics at one moment, by name. Counters start from zero when the API server restarts.
type Metrics map[string]*dto.MetricFamily

// Metrics asks the API server for its metrics. Such a request counts as one itself, without a resource.
func (c *ControlPlane) Metrics(ctx context.Context) (Metrics, error) {
	text, err := c.client.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parse the API server's metrics: %w", err)
	}
	return families, nil
}

// Sum adds up all series of a counter or gauge that have (at least) these labels; of a histogram or summary it adds up the
// numbers of observations. It is 0 if there is none. For example, the updates of Leases:
//
//	metrics.Sum("apiserver_request_total", map[string]string{"resource": "leases", "verb": "PUT"})
//
// The verbs of that metric are GET, LIST, WATCH, POST, PUT, PATCH, APPLY and DELETE (of one object or of a collection). A
// WATCH counts when it has ended. The controllers' own requests count too: the garbage collector lists and watches every type,
// and the end of a namespace is a DELETE of every type's collection.
func (m Metrics) Sum(name string, labels map[string]string) float64 {
	var sum float64
	for _, metric := range m[name].GetMetric() {
		if hasLabels(metric, labels) {
			sum += value(metric)
		}
	}
	return sum
}

func hasLabels(metric *dto.Metric, want map[string]string) bool {
	matched := 0
	for _, label := range metric.GetLabel() {
		if value, ok := want[label.GetName()]; ok && value == label.GetValue() {
			matched++
		}
	}
	return matched == len(want)
}

// value relies on the getters of the kinds that this metric is not of returning zero.
func value(metric *dto.Metric) float64 {
	return metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetUntyped().GetValue() +
		float64(metric.GetHistogram().GetSampleCount()) + float64(metric.GetSummary().GetSampleCount())
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shardctl/shardctl/internal/schedule"
)

// scheduleMetrics tell of the schedules of a group, by role.
type scheduleMetrics struct {
	starts    *prometheus.CounterVec
	skips     *prometheus.CounterVec
	ended     *prometheus.CounterVec
	durations *prometheus.HistogramVec
	last      *prometheus.GaugeVec
	underWay  *prometheus.GaugeVec
}

// runBuckets are in seconds, from 10 ms to half a day.
var runBuckets = prometheus.ExponentialBuckets(0.01, 4, 12)

// newScheduleMetrics returns the metrics that all schedules of the group share: those that
// are registered, if there are any.
func newScheduleMetrics(r prometheus.Registerer, group string) (*scheduleMetrics, error) {
	labels := prometheus.Labels{"group": group}
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "shardctl", Subsystem: "schedule", Name: name, Help: help, ConstLabels: labels}, by)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "shardctl", Subsystem: "schedule", Name: name, Help: help, ConstLabels: labels}, []string{"role"})
	}
	m := &scheduleMetrics{
		starts: counter("starts_total", "Runs that this replica began.", "role"),
		skips:  counter("skipped_total", "Ticks that this replica passed over as the holder, by reason.", "role", "reason"),
		ended:  counter("runs_total", "Runs that ended on this replica, by result.", "role", "result"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "shardctl", Subsystem: "schedule", Name: "run_duration_seconds", Help: "Duration of runs.", ConstLabels: labels, Buckets: runBuckets,
		}, []string{"role"}),
		last:     gauge("last_start_timestamp_seconds", "When this replica began a run last, by its wall clock; 0 if it never did."),
		underWay: gauge("running", "Runs under way on this replica."),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(register(r, &m.starts), register(r, &m.skips), register(r, &m.ended), register(r, &m.durations), register(r, &m.last), register(r, &m.underWay))
}

// register registers a metric, or takes the one that is there.
func register[M prometheus.Collector](r prometheus.Registerer, m *M) error {
	err := r.Register(*m)
	var there prometheus.AlreadyRegisteredError
	if !errors.As(err, &there) {
		return err
	}
	have, ok := there.ExistingCollector.(M)
	if !ok {
		return fmt.Errorf("metrics: %w", err)
	}
	*m = have
	return nil
}

// begin has all of them be there before anything has happened: a counter that appears at
// 1 is no increase to an alert.
func (m *scheduleMetrics) begin(role string) {
	m.starts.WithLabelValues(role)
	for _, reason := range schedule.Reasons() {
		m.skips.WithLabelValues(role, string(reason))
	}
	for _, result := range []schedule.Outcome{schedule.Succeeded, schedule.Failed, schedule.Interrupted} {
		m.ended.WithLabelValues(role, string(result))
	}
	m.durations.WithLabelValues(role)
	m.last.WithLabelValues(role)
	m.underWay.WithLabelValues(role)
}

func (m *scheduleMetrics) started(role string, at time.Time) {
	m.starts.WithLabelValues(role).Inc()
	m.last.WithLabelValues(role).Set(float64(at.UnixMilli()) / 1000)
}

func (m *scheduleMetrics) skipped(role string, reason schedule.Reason, n int) {
	m.skips.WithLabelValues(role, string(reason)).Add(float64(n))
}

// finished counts a run. What is not known is not counted.
func (m *scheduleMetrics) finished(role string, o schedule.Outcome) {
	if o == schedule.Unknown {
		return
	}
	if o == schedule.Replaced {
		o = schedule.Interrupted
	}
	m.ended.WithLabelValues(role, string(o)).Inc()
}

func (m *scheduleMetrics) took(role string, d time.Duration) {
	m.durations.WithLabelValues(role).Observe(d.Seconds())
}

func (m *scheduleMetrics) running(role string, n int) {
	m.underWay.WithLabelValues(role).Set(float64(n))
}

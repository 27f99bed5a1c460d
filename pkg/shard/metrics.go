// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shardctl/shardctl/pkg/lease"
)

// metrics of one replica.
type metrics struct {
	held       *prometheus.GaugeVec
	epoch      *prometheus.GaugeVec
	gained     *prometheus.CounterVec
	lost       *prometheus.CounterVec
	drains     *prometheus.HistogramVec
	gaps       *prometheus.HistogramVec
	requests   *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	renewals   prometheus.Histogram
	unrenewed  *prometheus.CounterVec
	ended      *prometheus.CounterVec
	refused    *prometheus.CounterVec
	resent     prometheus.Counter
	reconciles *prometheus.HistogramVec

	// draining has, by shard, the epoch of a term that was counted as lost when it
	// began to drain. The driver's goroutine owns it.
	draining map[string]int32
}

// gapBuckets are in seconds. 25 ms and 100 ms are what half and nearly all of the
// hand-offs are to take at most.
var gapBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// requestBuckets are in seconds, up to 33 s.
var requestBuckets = prometheus.ExponentialBuckets(0.001, 2, 16)

func newMetrics(r prometheus.Registerer, group string) (*metrics, error) {
	labels := prometheus.Labels{"group": group}
	gauge := func(name, help string, by ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "shardctl", Name: name, Help: help, ConstLabels: labels}, by)
	}
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "shardctl", Name: name, Help: help, ConstLabels: labels}, by)
	}
	histogramIn := func(buckets []float64, name, help string, by ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "shardctl", Name: name, Help: help, ConstLabels: labels, Buckets: buckets,
		}, by)
	}
	histogram := func(name, help string, by ...string) *prometheus.HistogramVec {
		return histogramIn(requestBuckets, name, help, by...)
	}
	m := &metrics{
		held:       gauge("shard_held", "1 while this replica holds the shard.", "shard"),
		epoch:      gauge("shard_epoch", "Epoch of the last term of the shard on this replica.", "shard"),
		gained:     counter("shard_gained_total", "Terms begun on this replica, by cause.", "shard", "cause"),
		lost:       counter("shard_lost_total", "Terms ended on this replica, by the first cause to end them.", "shard", "cause"),
		drains:     histogram("drain_duration_seconds", "From the word to stop until the last reconcile has returned.", "shard"),
		gaps:       histogramIn(gapBuckets, "handoff_gap_seconds", "From the end of the last holder's work, by its clock, until this replica begins to work, by how the shard was gained.", "cause"),
		requests:   counter("lease_requests_total", "Requests on the group's Leases, by verb and outcome.", "verb", "outcome"),
		latency:    histogram("lease_request_duration_seconds", "Duration of requests on the group's Leases.", "verb"),
		renewals:   prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "shardctl", Name: "renewal_duration_seconds", Help: "From the send of a heartbeat until it has come back on the watch.", ConstLabels: labels, Buckets: requestBuckets}),
		unrenewed:  counter("renewal_failures_total", "Heartbeats that were not answered with OK, by outcome.", "outcome"),
		ended:      counter("sessions_ended_total", "Sessions of other processes that this replica ended, by reason.", "reason"),
		refused:    counter("fence_rejections_total", "Writes that the fences refused: no_term and term_over were not sent, server is what the API server's fence refused for good.", "reason"),
		resent:     prometheus.NewCounter(prometheus.CounterOpts{Namespace: "shardctl", Name: "fence_retries_total", Help: "Writes sent again because the API server's fence may not have known of the term yet.", ConstLabels: labels}),
		reconciles: histogram("reconcile_duration_seconds", "Duration of reconciles, by result; of all buckets of a type together.", "shard", "controller", "result"),
		draining:   map[string]int32{},
	}
	m.begin()
	if r == nil {
		return m, nil
	}
	return m, m.register(r)
}

func (m *metrics) register(r prometheus.Registerer) error {
	var errs []error
	for _, c := range []prometheus.Collector{
		m.held, m.epoch, m.gained, m.lost, m.drains, m.gaps, m.requests, m.latency, m.renewals, m.unrenewed, m.ended, m.refused, m.resent, m.reconciles,
	} {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

// begin has the counters of what goes wrong be there before anything has: one that
// appears at 1 is no increase to an alert.
func (m *metrics) begin() {
	for o := lease.Conflict; o <= lease.Unknown; o++ {
		m.unrenewed.WithLabelValues(o.String())
	}
	for _, reason := range []lease.EndReason{lease.EndExpired, lease.EndDead, lease.EndPredecessor} {
		m.ended.WithLabelValues(string(reason))
	}
	for _, reason := range []string{refusedNoTerm, refusedTermOver, refusedServer} {
		m.refused.WithLabelValues(reason)
	}
}

func (m *metrics) granted(t lease.Term) {
	m.held.WithLabelValues(t.Shard).Set(1)
	m.epoch.WithLabelValues(t.Shard).Set(float64(t.Epoch))
	m.gained.WithLabelValues(t.Shard, string(t.How)).Inc()
	delete(m.draining, t.Shard)
}

// revoked counts a term that is to end, once: one that drains may end before it has
// drained. Until then it is held.
func (m *metrics) revoked(r lease.Revoked) {
	shard := r.Term.Shard
	if !r.Graceful {
		m.held.WithLabelValues(shard).Set(0)
	}
	if epoch, counted := m.draining[shard]; counted && epoch == r.Term.Epoch {
		return
	}
	m.lost.WithLabelValues(shard, string(r.Cause)).Inc()
	if r.Graceful {
		m.draining[shard] = r.Term.Epoch
	}
}

// began notes that the first work of a term began.
func (m *metrics) began(t lease.Term, at time.Time) {
	if gap, ok := handoffGap(t, at); ok {
		m.gaps.WithLabelValues(string(t.How)).Observe(gap.Seconds())
	}
}

// drained counts a term whose work has ended; held says that another of the
// shard has begun meanwhile.
func (m *metrics) drained(shard string, took time.Duration, held bool) {
	if !held {
		m.held.WithLabelValues(shard).Set(0)
	}
	m.drains.WithLabelValues(shard).Observe(took.Seconds())
}

func (m *metrics) requested(verb lease.Verb, o lease.Outcome, took time.Duration) {
	m.requests.WithLabelValues(string(verb), o.String()).Inc()
	m.latency.WithLabelValues(string(verb)).Observe(took.Seconds())
}

// noted measures the heartbeats, and counts what was done to others.
func (m *metrics) noted(e lease.Effect, clock lease.Clock) {
	switch e := e.(type) {
	case lease.Extended:
		if e.Shard == "" {
			m.renewals.Observe(clock.Now().Sub(e.Sent).Seconds())
		}
	case lease.Unrenewed:
		m.unrenewed.WithLabelValues(e.Outcome.String()).Inc()
	case lease.Ended:
		m.ended.WithLabelValues(string(e.Reason)).Inc()
	}
}

// forget removes what is told of a shard as it is, since there is none any more. What
// was counted stays.
func (m *metrics) forget(shard string) {
	m.held.DeleteLabelValues(shard)
	m.epoch.DeleteLabelValues(shard)
}

// Reasons for which a write was refused.
const (
	refusedNoTerm   = "no_term"
	refusedTermOver = "term_over"
	refusedServer   = "server"
)

// fenced counts a write that was not sent. One whose caller had given up before
// was not refused.
func (m *metrics) fenced(err error) {
	switch {
	case errors.Is(err, ErrNoTerm):
		m.refused.WithLabelValues(refusedNoTerm).Inc()
	case errors.Is(err, ErrTermOver):
		m.refused.WithLabelValues(refusedTermOver).Inc()
	}
}

// fencedByServer counts a write that the API server's fence refused for good.
func (m *metrics) fencedByServer() { m.refused.WithLabelValues(refusedServer).Inc() }

// retried counts a write that is sent again.
func (m *metrics) retried() { m.resent.Inc() }

func (m *metrics) reconciled(shard, controller, result string, took time.Duration) {
	m.reconciles.WithLabelValues(shard, controller, result).Observe(took.Seconds())
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package instrument

import (
	"context"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/metrics"
)

// restMetrics are those of all clients of the process. Names, labels and buckets are
// those of component-base, metrics/prometheus/restclient, v0.36; those of plugins that
// get credentials are left out, since there are none in a Pod.
type restMetrics struct {
	results     *prometheus.CounterVec
	retries     *prometheus.CounterVec
	latency     *prometheus.HistogramVec
	limiter     *prometheus.HistogramVec
	resolver    *prometheus.HistogramVec
	sent        *prometheus.HistogramVec
	received    *prometheus.HistogramVec
	transports  prometheus.Gauge
	connections *prometheus.CounterVec
}

func newRequests() *restMetrics {
	seconds := []float64{.005, .025, .1, .25, .5, 1, 2, 4, 8, 15, 30, 60}
	bytes := prometheus.ExponentialBuckets(64, 4, 10)
	counter := func(name, help string, by ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "rest_client", Name: name, Help: help}, by)
	}
	histogram := func(buckets []float64, name, help string, by ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "rest_client", Name: name, Help: help, Buckets: buckets}, by)
	}
	return &restMetrics{
		results:  counter("requests_total", "HTTP requests of client-go, by status code, method and host.", "code", "method", "host"),
		retries:  counter("request_retries_total", "Requests that client-go sent again, by status code, verb and host.", "code", "verb", "host"),
		latency:  histogram(seconds, "request_duration_seconds", "Duration of requests, by verb and host.", "verb", "host"),
		limiter:  histogram(seconds, "rate_limiter_duration_seconds", "How long requests waited for the client's own rate limiter, by verb and host.", "verb", "host"),
		resolver: histogram(seconds, "dns_resolution_duration_seconds", "Duration of DNS look-ups, by host.", "host"),
		sent:     histogram(bytes, "request_size_bytes", "Size of requests, by verb and host.", "verb", "host"),
		received: histogram(bytes, "response_size_bytes", "Size of responses, by verb and host.", "verb", "host"),
		transports: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "rest_client", Name: "transport_cache_entries", Help: "Transports in client-go's cache.",
		}),
		connections: counter("transport_create_calls_total", "Transports that were asked for, by what client-go's cache said: hit, miss, uncacheable.", "result"),
	}
}

func (m *restMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.results, m.retries, m.latency, m.limiter, m.resolver, m.sent, m.received, m.transports, m.connections,
	}
}

// hooks are what client-go calls.
func (m *restMetrics) hooks() metrics.RegisterOpts {
	return metrics.RegisterOpts{
		RequestResult:         m,
		RequestRetry:          m,
		RequestLatency:        latency{m.latency},
		RateLimiterLatency:    latency{m.limiter},
		ResolverLatency:       resolution{m.resolver},
		RequestSize:           size{m.sent},
		ResponseSize:          size{m.received},
		TransportCacheEntries: cacheEntries{m.transports},
		TransportCreateCalls:  transportCalls{m.connections},
	}
}

// Increment implements [metrics.ResultMetric].
func (m *restMetrics) Increment(_ context.Context, code, method, host string) {
	m.results.WithLabelValues(code, method, host).Inc()
}

// IncrementRetry implements [metrics.RetryMetric].
func (m *restMetrics) IncrementRetry(_ context.Context, code, verb, host string) {
	m.retries.WithLabelValues(code, verb, host).Inc()
}

type latency struct{ *prometheus.HistogramVec }

func (l latency) Observe(_ context.Context, verb string, u url.URL, took time.Duration) {
	l.WithLabelValues(verb, u.Host).Observe(took.Seconds())
}

type resolution struct{ *prometheus.HistogramVec }

func (r resolution) Observe(_ context.Context, host string, took time.Duration) {
	r.WithLabelValues(host).Observe(took.Seconds())
}

type size struct{ *prometheus.HistogramVec }

func (s size) Observe(_ context.Context, verb, host string, bytes float64) {
	s.WithLabelValues(verb, host).Observe(bytes)
}

type cacheEntries struct{ prometheus.Gauge }

func (c cacheEntries) Observe(entries int) { c.Set(float64(entries)) }

type transportCalls struct{ *prometheus.CounterVec }

func (t transportCalls) Increment(result string) { t.WithLabelValues(result).Inc() }

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package instrument

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"
)

// queueMetrics are those of all work queues of the process, by name. Names, labels and
// buckets are those of component-base, metrics/prometheus/workqueue, v0.36. Counters and
// histograms go on from one queue of a name to the next; what tells how a queue is now
// is added up over those that are open.
type queueMetrics struct {
	adds, retries *prometheus.CounterVec
	waited, took  *prometheus.HistogramVec

	depth, unfinished, longest *prometheus.Desc

	mu   sync.Mutex
	open map[string]map[*queue]bool // by name; those without any are shown as empty
}

func newQueues() *queueMetrics {
	by := []string{"name"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "workqueue", Name: name, Help: help}, by)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "workqueue", Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(10e-9, 10, 10),
		}, by)
	}
	return &queueMetrics{
		adds:       counter("adds_total", "Keys that were added."),
		retries:    counter("retries_total", "Keys that were put back for later."),
		waited:     histogram("queue_duration_seconds", "How long keys waited in the queue."),
		took:       histogram("work_duration_seconds", "How long the work on a key took."),
		depth:      prometheus.NewDesc("workqueue_depth", "Keys that wait.", by, nil),
		unfinished: prometheus.NewDesc("workqueue_unfinished_work_seconds", "For how long all that is being worked on has been, added up.", by, nil),
		longest:    prometheus.NewDesc("workqueue_longest_running_processor_seconds", "For how long the key has been worked on that was begun first.", by, nil),
		open:       map[string]map[*queue]bool{},
	}
}

// Describe implements [prometheus.Collector].
func (m *queueMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.lasting() {
		c.Describe(out)
	}
	for _, d := range []*prometheus.Desc{m.depth, m.unfinished, m.longest} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *queueMetrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.lasting() {
		c.Collect(out)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, queues := range m.open {
		var depth, unfinished, longest float64
		for q := range queues {
			depth += float64(q.depth.Load())
			unfinished += q.unfinished.value()
			longest = max(longest, q.longest.value())
		}
		out <- prometheus.MustNewConstMetric(m.depth, prometheus.GaugeValue, depth, name)
		out <- prometheus.MustNewConstMetric(m.unfinished, prometheus.GaugeValue, unfinished, name)
		out <- prometheus.MustNewConstMetric(m.longest, prometheus.GaugeValue, longest, name)
	}
}

// lasting are the metrics that outlive a queue.
func (m *queueMetrics) lasting() []prometheus.Collector {
	return []prometheus.Collector{m.adds, m.retries, m.waited, m.took}
}

// OpenQueue returns what measures one work queue, which shares its name with others of
// its kind: give it to every layer of the queue. Closed is to be called when the queue
// was shut down and nobody takes from it any more; what is still in it then counts no
// longer. Where [Register] was not called there is no measure, and closed does nothing.
func OpenQueue(name string) (measure workqueue.MetricsProvider, closed func()) {
	if !registered.Load() {
		return nil, func() {}
	}
	q := &queue{metrics: queues, name: name}
	queues.add(q)
	return q, func() { queues.remove(q) }
}

func (m *queueMetrics) add(q *queue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[q.name] == nil {
		m.open[q.name] = map[*queue]bool{}
	}
	m.open[q.name][q] = true
}

func (m *queueMetrics) remove(q *queue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open[q.name], q)
}

// queue measures one work queue.
type queue struct {
	metrics    *queueMetrics
	name       string
	depth      depth
	unfinished gauge
	longest    gauge
}

// NewDepthMetric implements [workqueue.MetricsProvider], as do those that follow.
func (q *queue) NewDepthMetric(string) workqueue.GaugeMetric { return &q.depth }

func (q *queue) NewAddsMetric(string) workqueue.CounterMetric {
	return q.metrics.adds.WithLabelValues(q.name)
}

func (q *queue) NewLatencyMetric(string) workqueue.HistogramMetric {
	return q.metrics.waited.WithLabelValues(q.name)
}

func (q *queue) NewWorkDurationMetric(string) workqueue.HistogramMetric {
	return q.metrics.took.WithLabelValues(q.name)
}

func (q *queue) NewUnfinishedWorkSecondsMetric(string) workqueue.SettableGaugeMetric {
	return &q.unfinished
}

func (q *queue) NewLongestRunningProcessorSecondsMetric(string) workqueue.SettableGaugeMetric {
	return &q.longest
}

func (q *queue) NewRetriesMetric(string) workqueue.CounterMetric {
	return q.metrics.retries.WithLabelValues(q.name)
}

type depth struct{ atomic.Int64 }

func (d *depth) Inc() { d.Add(1) }

func (d *depth) Dec() { d.Add(-1) }

type gauge struct{ bits atomic.Uint64 }

func (g *gauge) Set(value float64) { g.bits.Store(math.Float64bits(value)) }

func (g *gauge) value() float64 { return math.Float64frombits(g.bits.Load()) }

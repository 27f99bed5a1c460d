// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package instrument

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/metrics"
	"k8s.io/client-go/util/workqueue"

	"github.com/shardctl/shardctl/internal/metricstest"
)

// registry returns a registry that has the metrics.
func registry(t *testing.T) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewRegistry()
	if err := Register(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// value is that of a gauge or a counter, and how often a histogram has observed
// something, of the series with the label's value.
func value(t *testing.T, r prometheus.Gatherer, metric, label string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == metric && l.GetValue() == label {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	t.Fatalf("there is no %s of %s", metric, label)
	return 0
}

// open makes a queue that is measured.
func open(name string) (q workqueue.TypedRateLimitingInterface[string], closed func()) {
	measure, closed := OpenQueue(name)
	return workqueue.NewTypedRateLimitingQueueWithConfig(workqueue.DefaultTypedControllerRateLimiter[string](),
		workqueue.TypedRateLimitingQueueConfig[string]{Name: name, MetricsProvider: measure}), closed
}

func TestQueuesOfOneNameAreAddedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, name := registry(t), t.Name()
		first, closeFirst := open(name)
		second, closeSecond := open(name)
		first.Add("a")
		first.Add("b")
		second.Add("c")
		if got := value(t, r, "workqueue_depth", name); got != 3 {
			t.Errorf("the depth is %v, want 3", got)
		}
		older, _ := first.Get()
		time.Sleep(2 * time.Second)
		newer, _ := second.Get()
		time.Sleep(time.Second)
		synctest.Wait()
		if sum, longest := value(t, r, "workqueue_unfinished_work_seconds", name), value(t, r, "workqueue_longest_running_processor_seconds", name); sum < 3.5 || sum > 4 || longest < 2.5 || longest > 3 {
			t.Errorf("work of 3 s and 1 s: %v s in all, the longest %v s", sum, longest)
		}
		first.Done(older)
		second.Done(newer)
		second.AddRateLimited("c")
		for _, q := range []workqueue.TypedRateLimitingInterface[string]{first, second} {
			q.ShutDown()
		}
		closeFirst()
		closeSecond()
		if got := value(t, r, "workqueue_adds_total", name); got != 3 {
			t.Errorf("%v were added, want 3", got)
		}
		if got := value(t, r, "workqueue_retries_total", name); got != 1 {
			t.Errorf("%v were put back, want 1", got)
		}
	})
}

func TestWhatIsLeftInAQueueThatIsClosedDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, name := registry(t), t.Name()
		for range 3 { // terms of one shard
			q, closed := open(name)
			q.Add("taken")
			q.Add("left")
			_, _ = q.Get()
			time.Sleep(time.Second)
			synctest.Wait()
			q.ShutDown()
			closed()
			for _, metric := range []string{"workqueue_depth", "workqueue_unfinished_work_seconds", "workqueue_longest_running_processor_seconds"} {
				if got := value(t, r, metric, name); got != 0 {
					t.Errorf("%s is %v after the end of the queue", metric, got)
				}
			}
		}
		if got := value(t, r, "workqueue_adds_total", name); got != 6 {
			t.Errorf("%v were added, want 6", got)
		}
	})
}

func TestSeveralRegistriesHaveTheMetrics(t *testing.T) {
	first := registry(t)
	second := registry(t)
	if err := Register(first); err != nil {
		t.Errorf("the second time: %v", err)
	}
	q, closed := open(t.Name())
	defer closed()
	defer q.ShutDown()
	q.Add("a")
	for _, r := range []*prometheus.Registry{first, second} {
		if got := value(t, r, "workqueue_depth", t.Name()); got != 1 {
			t.Errorf("the depth is %v, want 1", got)
		}
	}
}

func TestRegisterRefusesToShowMetricsOfOthers(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rest_client_requests_total", Help: "Somebody's."}, []string{"code"}))
	if err := Register(r); err == nil {
		t.Error("there are other metrics of the name, and Register does not say so")
	}
	installed := metrics.RequestResult
	defer func() { metrics.RequestResult = installed }()
	metrics.RequestResult = others{} // as somebody who was first would have
	if err := Register(prometheus.NewRegistry()); !errors.Is(err, ErrTaken) {
		t.Errorf("client-go tells somebody else of its requests, and Register says %v", err)
	}
}

type others struct{}

func (others) Increment(context.Context, string, string, string) {}

func TestMetricsAreThoseOfThePage(t *testing.T) {
	r := registry(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apiVersion":"example.com/v1","kind":"WidgetList","metadata":{},"items":[]}`))
	}))
	defer server.Close()
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	widgets := schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
	if _, err := client.Resource(widgets).List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(server.URL, "http://")
	if got := value(t, r, "rest_client_requests_total", host); got != 1 {
		t.Errorf("%v requests were counted, want 1", got)
	}
	if got := value(t, r, "rest_client_request_duration_seconds", host); got != 1 {
		t.Errorf("%v requests were measured, want 1", got)
	}

	q, closed := open(t.Name())
	defer closed()
	defer q.ShutDown()
	q.Add("a")
	key, _ := q.Get()
	q.AddRateLimited(key)
	q.Done(key)
	// What does not happen with a server in this process.
	requests.IncrementRetry(t.Context(), "429", "GET", host)
	metrics.ResolverLatency.Observe(t.Context(), host, time.Millisecond)
	metrics.TransportCacheEntries.Observe(1)
	metrics.TransportCreateCalls.Increment("miss")

	metricstest.Compare(t, r, metricstest.ClientGo, "workqueue_", "rest_client_")
	metricstest.Lint(t, r)
}

func TestBuild(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(Build("g", "v1.2.3"))
	if got := value(t, r, "shardctl_build_info", "v1.2.3"); got != 1 {
		t.Errorf("it is %v, want 1", got)
	}
	metricstest.Lint(t, r)
}

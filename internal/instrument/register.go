// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package instrument

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/metrics"
)

// ErrTaken is returned by [Register] if something else in this process measures the
// requests of client-go already.
var ErrTaken = errors.New("the hooks of k8s.io/client-go/tools/metrics were set before: register its metrics instead")

// What client-go measures in this process.
var (
	queues   = newQueues()
	requests = newRequests()
	// registered says that somebody sees the queues.
	registered atomic.Bool
)

// Register gives the metrics of client-go in this process to a registry. Several
// registries may have them, and one that has them already is left as it is. It fails if
// the registry has other metrics of these names, or with [ErrTaken]. Requests and
// queues count from the first call on.
func Register(r prometheus.Registerer) error {
	metrics.Register(requests.hooks()) // the second time it does nothing
	if metrics.RequestResult != metrics.ResultMetric(requests) {
		return fmt.Errorf("metrics of the requests: %w", ErrTaken)
	}
	for _, c := range append(requests.collectors(), queues) {
		known := prometheus.AlreadyRegisteredError{}
		if err := r.Register(c); err != nil && (!errors.As(err, &known) || known.ExistingCollector != c) {
			return fmt.Errorf("metrics of client-go: %w", err)
		}
	}
	registered.Store(true)
	return nil
}

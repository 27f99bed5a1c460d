// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

// Part of what an [Endpoint] serves that can be protected. Health cannot: kubelets have
// no token.
type Part string

// The parts.
const (
	Metrics   Part = "metrics"   // /metrics
	Dashboard Part = "dashboard" // /, and all below that is nothing else
	Pprof     Part = "pprof"     // /debug/pprof/
)

// Parts returns all of them.
func Parts() []Part { return []Part{Metrics, Dashboard, Pprof} }

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package endpoint is what a replica serves by HTTP: health, metrics, profiles and
// whatever page it is given as its dashboard.
//
//	/livez, /readyz    health, for kubelets, in the words of kube-apiserver; see [Health]
//	/metrics           for Prometheus
//	/debug/pprof/      if asked for
//	/, and the rest    the dashboard; GET /events is its stream
//
// Invariants:
//
//   - Probes are open to everybody. Of the rest, what is protected is read only by those
//     whose token the API server knows, and whom it lets get that path; while it does not
//     answer, nobody reads it.
//   - Everything has a limit: headers, the time of a request, connections, streams,
//     reviews under way and remembered. Probes find room: idle connections make it.
//   - A stream may last as long as the process, but its end does not wait for it.
//   - A certificate that changes is in force within [CertificateInterval]; one that cannot
//     be used never replaces one that can.
//   - Nothing outlives Run but a handler that ignores the end of its request.
//
// It knows nothing of groups and Leases: health comes as checks, the dashboard as a
// handler. It is tested by its handler, and on connections of its own where those are
// what matters; on a real API server by the suite in the e2e module.
package endpoint

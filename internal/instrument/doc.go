// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package instrument shows what client-go measures of itself as Prometheus metrics:
// its work queues and its requests, under the names that the controllers of Kubernetes
// have (k8s.io/component-base/metrics/prometheus), so that their dashboards and alerts
// work here too. [Register] gives them to a registry.
//
// It is for a program, not for a library, because client-go takes the word of whoever
// comes first in the process and ignores all others. So the metrics exist once per
// process, whatever the number of groups and registries in it:
//
//   - Requests are measured by the hooks of k8s.io/client-go/tools/metrics, which can
//     be set once. If something else in the process has set them before, Register says
//     so instead of showing metrics that stay empty.
//   - Work queues do without workqueue.SetProvider: each is given its own measure, see
//     [OpenQueue], as client-go allows. A queue lives for one term of one shard, and a
//     provider is never told of its end: what was left in the queue would be counted
//     as its depth for ever. Series are by controller, not by queue, so their number
//     is that of the controllers, however often shards come, go or are divided anew.
//
// In a process in which Register was not called queues get no measure, and so the one
// that the process has set by workqueue.SetProvider: those who use the library beside
// others' controllers find its queues among theirs.
//
// The tests run real queues and a real client, and lint all metrics.
package instrument

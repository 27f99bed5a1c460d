// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package recorder writes Kubernetes Events (events.k8s.io/v1).
//
// It takes the place of the broadcasters in k8s.io/client-go/tools/events and
// tools/record, whose goroutines cannot be waited for: what a replica says at its very
// end would get lost, and what it started would outlive it. Its [Recorder] is an
// EventRecorder as they are.
//
// Invariants:
//
//   - Eventf never waits, and Run is the only goroutine.
//   - No flood: so many Events per second, and [MaxWaiting] that wait; more are left out,
//     and counted in the log. One that is said again within [SeriesTTL] is no new Event,
//     but a series: its count is written once a minute at most.
//   - Order: Events are written in the order in which they were said. An API server that
//     does not answer holds all of them up.
//   - Once told to end, Run goes on for [FlushTimeout] at most.
//
// It is tested in virtual time, on a fake API.
package recorder

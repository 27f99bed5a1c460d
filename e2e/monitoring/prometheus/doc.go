// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package prometheus is a module of its own that pins which Prometheus the alerts and the dashboard are tested with:
// prometheus and promtool, the tool directives of go.mod. Nothing imports it.
//
// It is apart from the e2e module because Prometheus needs the client of every service in which it can discover targets.
// The tests build it without those (the build tag remove_all_sd), in two minutes on two cores the first time.
package prometheus

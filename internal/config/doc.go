// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config reads the file of `shardctl run --config FILE`.
//
// A file holds YAML documents: one Configuration, and any number of
// metacontroller's DecoratorControllers as they are.
//
//	apiVersion: shardctl.dev/v1alpha1
//	kind: Configuration
//	metadata:
//	  name: demo                # the group
//	spec:
//	  namespace: shardctl-demo  # of the group's Leases; default: where the replica runs
//	  timings:
//	    preset: default         # default, fast or relaxed; the others change single values of it
//	    leaseDuration: 15s
//	    renewDeadline: 9s
//	    renewInterval: 3s
//	  podWatch: true
//	  drainTimeout: 20s
//	  workers: 4
//	  balance:
//	    tolerance: 0.1
//	    cooldown: 2s
//	  http:
//	    address: ":8080"
//	    tls: {certFile: /tls/tls.crt, keyFile: /tls/tls.key}
//	    authorization:
//	      protect: [metrics, dashboard, pprof]
//	  events: true
//	  leadership: {address: "127.0.0.1:4040"} # the local endpoint
//	  roles:
//	  - name: widgets
//	    buckets: 4              # of each of its types; default 1
//	    partition: uid          # uid, key or namespace
//	    decorator: {...}        # the spec of a DecoratorController
//	  - name: nightly-report    # instead of a decorator: schedule, exec or leadership
//	    schedule: {cron: "0 2 * * *", webhook: {url: "http://reports.shop.svc/nightly"}}
//	  - name: importer
//	    exec: {command: [/bin/importer]}
//	    readiness: {tcp: {address: "127.0.0.1:5432"}}
//	---
//	apiVersion: metacontroller.k8s.io/v1alpha1
//	kind: DecoratorController
//	metadata:
//	  name: gadgets             # a role of this name
//	spec: {...}
//
// Invariants:
//
//   - All or nothing: [Parse] gives a configuration that is complete and valid,
//     or an [InvalidError] with everything that is wrong, each with its place,
//     its value and what to do about it.
//   - Nothing is ignored. Unknown and duplicate fields are errors, and so is
//     text that a YAML reader would pass over without a word.
//   - No answer depends on anything but the file: no environment, no cluster.
//   - Every input is bounded: the file, its documents, the messages about it.
//
// Tables of files and the messages about them are the specification
// (parse_test.go, roles_test.go). Fuzz targets look for panics, for files that are accepted
// though they break a rule and for text that gets lost between documents.
package config

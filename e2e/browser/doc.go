// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package browser looks at the dashboard in a real browser: headless Chromium, driven
// over its DevTools protocol. It has tests only.
//
// Some tests serve the page of a made-up group, where a moment has to be just so: many
// shards, hostile names, a reader that is cut off. The others serve nothing
// themselves: they open the page of real replicas on a real control plane, and do to
// those what happens to replicas. Every test fails if the page logs an error, breaks
// its own Content-Security-Policy or asks any other host for anything.
//
// With -update the tests write the pictures of the documentation, docs/images.
//
// The browser is what the environment variable CHROME names, or else chromium,
// chromium-browser, google-chrome or chrome in the PATH. Where there is none the tests are
// skipped, but fail if CI is set.
package browser

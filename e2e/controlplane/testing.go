// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// Start is New for a test: it fails the test if there is no control plane to be had, and stops it when the test and its
// subtests are over. If the test has failed by then, the end of each log is printed. If the tests run with -artifacts, the
// whole logs stay in the test's artifact directory.
func Start(t testing.TB, options Options) *ControlPlane {
	t.Helper()
	if options.LogDir == "" && artifactsKept() {
		dir, err := os.MkdirTemp(t.ArtifactDir(), "controlplane-") //nolint:usetesting // t.TempDir would be removed
		if err != nil {
			t.Fatalf("make a directory for the control plane's logs: %v", err)
		}
		options.LogDir = dir
	}
	c, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Before Stop, after which the logs would end with how the servers were stopped.
		if t.Failed() {
			printLogs(t, c.LogDir())
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func printLogs(t testing.TB, dir string) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Errorf("list the control plane's logs: %v", err)
	}
	for _, log := range logs {
		t.Logf("the end of %s:\n%s", log, tail(log))
	}
	if artifactsKept() {
		t.Log("the control plane's whole logs stay in", dir)
	} else {
		t.Log("to keep the control plane's whole logs, run the test with -artifacts")
	}
}

// artifactsKept says whether the tests run with -artifacts. Otherwise an artifact directory is a temporary one, which stays
// behind if the test's process is killed.
func artifactsKept() bool {
	artifacts := flag.Lookup("test.artifacts")
	return artifacts != nil && artifacts.Value.String() == "true"
}

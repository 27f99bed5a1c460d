// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"os"
	"testing"
)

// Start is New for a test: it fails the test if the group cannot be installed, and kills the replicas when the test and its
// subtests are over. The end of each log is printed if the test has failed by then; the whole logs stay in the test's
// artifact directory if it runs with -artifacts. What is in the cluster stays there.
func Start(t testing.TB, options Options) *Fleet {
	t.Helper()
	if options.Dir == "" {
		dir, err := os.MkdirTemp(t.ArtifactDir(), "fleet-") //nolint:usetesting // t.TempDir would be removed
		if err != nil {
			t.Fatalf("make a directory for the replicas' logs: %v", err)
		}
		options.Dir = dir
	}
	f, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, r := range f.all() {
				t.Log(tail(r.log))
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMain makes this binary the program whose processes the parts start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && commands()[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

// The whole program goes through all parts on a real control plane, and writes what it is to write. What it measures in such a
// hurry means nothing.
func TestQuick(t *testing.T) {
	tree := t.TempDir()
	if err := runBench(t.Context(), []string{"--quick", "--out", tree}); err != nil {
		t.Fatal(err)
	}
	r, err := readResults(filepath.Join(tree, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Quick || r.Versions["Kubernetes"] == "" || r.Versions["client-go"] == "" || r.Machine.Cores == 0 {
		t.Errorf("the results do not say what they are of: %+v", r)
	}
	for _, name := range names(parts()) {
		m := r.part(name)
		if m == nil || len(m.Figures) == 0 {
			t.Errorf("%s has no figures", name)
			continue
		}
		t.Logf("%s took %.0f s", name, m.Seconds)
		seen := map[figure]bool{}
		for _, f := range m.Figures {
			same := figure{Name: f.Name, Who: f.Who, Unit: f.Unit}
			if seen[same] {
				t.Errorf("%s has two figures %s of %q", name, f.Name, f.Who)
			}
			seen[same] = true
		}
	}
	for _, c := range charts() {
		if _, err := os.Stat(filepath.Join(tree, plotFile(c.name))); err != nil {
			t.Errorf("no plot: %v", err)
		}
	}
}

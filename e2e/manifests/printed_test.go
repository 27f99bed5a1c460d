// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the files that shardctl prints")

func TestPrintedFilesAreWhatShardctlPrints(t *testing.T) {
	config := filepath.Join(root, exampleOverlay, "config.yaml")
	for command, file := range map[string]string{
		"rbac":  filepath.Join(root, exampleOverlay, "rbac.yaml"),
		"fence": filepath.Join(root, exampleFence, "fence.yaml"),
	} {
		t.Run(command, func(t *testing.T) {
			printed, err := exec.CommandContext(t.Context(), binary, command, config, "--namespace="+namespace).Output()
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, printed, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			kept, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(kept) != string(printed) {
				t.Errorf("%s is not what shardctl %s prints for %s: run this test with -update", file, command, config)
			}
		})
	}
}

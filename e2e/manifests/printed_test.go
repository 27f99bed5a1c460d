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

// printedFiles are what commands of shardctl print for the example's configuration, relative to the source's root.
var printedFiles = map[string]string{
	"rbac":  exampleOverlay + "/rbac.yaml",
	"fence": exampleFence + "/fence.yaml",
}

func printed(t *testing.T, command, namespace string) []byte {
	t.Helper()
	config := filepath.Join(root, exampleOverlay, "config.yaml")
	output, err := exec.CommandContext(t.Context(), binary, command, config, "--namespace="+namespace).Output()
	if err != nil {
		t.Fatal(err)
	}
	return output
}

func TestPrintedFilesAreWhatShardctlPrints(t *testing.T) {
	for command, file := range printedFiles {
		t.Run(command, func(t *testing.T) {
			want, path := printed(t, command, namespace), filepath.Join(root, file)
			if *update {
				if err := os.WriteFile(path, want, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			kept, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(kept) != string(want) {
				t.Errorf("%s is not what shardctl %s prints for the example: run this test with -update", file, command)
			}
		})
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// No test builds images from source, for that pulls one: what comes out has to be what Dockerfile.prebuilt makes, which tests run.
func TestDockerfilesMakeTheSameImages(t *testing.T) {
	fromSource, prebuilt := imageStages(t, "Dockerfile"), imageStages(t, "Dockerfile.prebuilt")
	if len(fromSource) != len(prebuilt) {
		t.Errorf("the images of Dockerfile take %d lines, those of Dockerfile.prebuilt %d", len(fromSource), len(prebuilt))
	}
	for i := range min(len(fromSource), len(prebuilt)) {
		if fromSource[i] != prebuilt[i] {
			t.Errorf("line %d of the images: Dockerfile has %q, Dockerfile.prebuilt %q", i+1, fromSource[i], prebuilt[i])
		}
	}
}

// imageStages returns the lines from the first image on, of which COPY has the destination alone: the sources differ.
func imageStages(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	first := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "FROM scratch") })
	if first < 0 {
		t.Fatalf("%s has no stage FROM scratch", file)
	}
	lines = lines[first:]
	for i, line := range lines {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == "COPY" {
			lines[i] = "COPY " + fields[len(fields)-1]
		}
	}
	return lines
}

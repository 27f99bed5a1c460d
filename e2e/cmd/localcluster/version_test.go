// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shardctl/shardctl/e2e/localcluster"
)

// What runs in the cluster says which source it is from, as what `make build` builds.
func TestImagesHaveTheVersionOfTheSource(t *testing.T) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("with git", func(t *testing.T) {
		describe := exec.CommandContext(t.Context(), "git", "describe", "--tags", "--always", "--dirty")
		want, err := describe.Output()
		if err != nil {
			t.Skipf("git knows no version: %v", err)
		}
		expectVersion(t, strings.TrimSpace(string(want)))
	})
	t.Run("without git", func(t *testing.T) {
		path := t.TempDir()
		if err := os.Symlink(goCommand, filepath.Join(path, "go")); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", path)
		expectVersion(t, "unknown")
	})
}

func expectVersion(t *testing.T, want string) {
	t.Helper()
	images, err := localcluster.BuildImages(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := images[localcluster.ShardctlImage].Files["/shardctl"]
	output, err := exec.CommandContext(t.Context(), program, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(output)); !slices.Contains(got, want) {
		t.Errorf("shardctl version says %q, want %q", output, want)
	}
}

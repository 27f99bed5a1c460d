// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a file with that content and returns its name.
func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "demo.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoad(t *testing.T) {
	config, err := Load(write(t, head+widgets))
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if config.Name != "demo" || len(config.Roles) != 1 {
		t.Errorf("Load = group %q with %d roles, want demo with one", config.Name, len(config.Roles))
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	file := write(t, head)
	_, err := Load(file)
	var invalid *InvalidError
	if !errors.As(err, &invalid) || !strings.HasPrefix(err.Error(), file+":1: ") {
		t.Errorf("Load: %v, want an InvalidError that begins with %s:1", err, file)
	}
}

func TestLoadOfAFileThatIsNotThere(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v, want fs.ErrNotExist", err)
	}
}

func TestLoadOfADirectory(t *testing.T) {
	var invalid *InvalidError
	if _, err := Load(t.TempDir()); err == nil || errors.As(err, &invalid) {
		t.Errorf("Load: %v, want an error about reading", err)
	}
}

func TestLoadReadsNoMoreThanIsAllowed(t *testing.T) {
	_, err := Load(write(t, strings.Repeat("#", 3*MaxBytes)))
	if err == nil || !strings.Contains(err.Error(), "has more than 1048576 bytes") {
		t.Errorf("Load: %v, want the size to be told", err)
	}
}

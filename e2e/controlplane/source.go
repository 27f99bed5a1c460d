// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const packagePath = "github.com/shardctl/shardctl/e2e/controlplane"

// serversModule returns the directory of the module that the servers are built from. It lies next to this file, where a
// module boundary keeps go:embed from reaching it.
func serversModule(ctx context.Context) (string, error) {
	if dir, err := recordedModule(); err == nil {
		return dir, nil
	}
	return listedModule(ctx)
}

// recordedModule relies on the compiler having recorded where this file is, which it does unless it runs with -trimpath.
func recordedModule() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("the source's path is not known")
	}
	return serversIn(filepath.Dir(file))
}

// listedModule asks the go command, which knows within the e2e module, where every test runs.
func listedModule(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", packagePath).Output()
	if err != nil {
		return "", fmt.Errorf("find the source of %s: run this within the e2e module, or build it without -trimpath: %w",
			packagePath, withStderr(err))
	}
	return serversIn(strings.TrimSpace(string(output)))
}

func serversIn(packageDir string) (string, error) {
	dir := filepath.Join(packageDir, "servers")
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("find the servers' module: %w", err)
	}
	return dir, nil
}

// withStderr adds to the error of a command what the command had to say about it.
func withStderr(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

// Kubectl returns the path of a kubectl of the same release as the servers, and first builds it unless it is in the cache: half
// a minute on two cores once the servers have been built. Everything else is as with [Build].
func Kubectl(ctx context.Context, output io.Writer) (string, error) {
	path, err := kubectl(ctx, output)
	if err != nil {
		return "", fmt.Errorf("build kubectl: %w", err)
	}
	return path, nil
}

func kubectl(ctx context.Context, output io.Writer) (string, error) {
	r, err := findRelease(ctx)
	if err != nil {
		return "", err
	}
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	dir, err := cache{root: root, output: output}.get(ctx, "kubectl-"+r.key, "kubectl "+r.kubernetes, r.compileKubectl)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "kubectl"), nil
}

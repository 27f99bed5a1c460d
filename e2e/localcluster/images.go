// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// Names of the images in manifests/overlays/example.
const (
	ShardctlImage    = "shardctl:dev"
	ExampleHookImage = "shardctl-example-hook:dev"
)

const (
	imageUser      = 65532           // as in the Dockerfile
	interruptGrace = 5 * time.Second // for the go command to end its compilers
)

// BuildImages builds the images that manifests/overlays/example names from the source tree, as the Dockerfile does: each has one
// static program, which is written into dir, and shardctl says the version that git has for the tree. It is meant for
// Options.Images. The working directory has to be within the e2e module.
func BuildImages(ctx context.Context, dir string) (map[string]Image, error) {
	root, err := fleet.SourceRoot(ctx)
	if err != nil {
		return nil, err
	}
	stamp := "-X github.com/shardctl/shardctl/internal/version.version=" + sourceVersion(ctx, root)
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	images := map[string]Image{}
	for name, source := range map[string]struct{ program, path, ldflags string }{
		ShardctlImage:    {"shardctl", "./cmd/shardctl", stamp},
		ExampleHookImage: {"example-hook", "./examples/decorator/hook", ""},
	} {
		program := filepath.Join(dir, source.program)
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", source.ldflags, "-o", program, source.path)
		build.Dir = root
		// Interrupted early, the go command leaves its temporary files: they go with dir.
		build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOTMPDIR="+dir)
		build.Cancel = func() error { return build.Process.Signal(syscall.SIGINT) }
		build.WaitDelay = interruptGrace
		if output, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build %s in %s: %w\n%s", source.path, root, err, output)
		}
		images[name] = Image{
			Files:      map[string]string{"/" + source.program: program},
			Entrypoint: []string{"/" + source.program},
			User:       imageUser,
			Group:      imageUser,
		}
	}
	return images, nil
}

// sourceVersion is what the Makefile stamps, too: the answer of git, or "unknown" without git or outside a work tree.
func sourceVersion(ctx context.Context, root string) string {
	describe := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty")
	describe.Dir = root
	output, err := describe.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(output))
}

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
	interruptGrace = 5 * time.Second // for the go command to remove its temporary files
)

// BuildImages builds the images that manifests/overlays/example names from the source tree, as the Dockerfile does: each has one
// static program, which is written into dir. It is meant for Options.Images. The working directory has to be within the e2e module.
func BuildImages(ctx context.Context, dir string) (map[string]Image, error) {
	root, err := fleet.SourceRoot(ctx)
	if err != nil {
		return nil, err
	}
	images := map[string]Image{}
	for name, source := range map[string]struct{ program, path string }{
		ShardctlImage:    {"shardctl", "./cmd/shardctl"},
		ExampleHookImage: {"example-hook", "./examples/decorator/hook"},
	} {
		program, err := filepath.Abs(filepath.Join(dir, source.program))
		if err != nil {
			return nil, err
		}
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, source.path)
		build.Dir = root
		build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
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

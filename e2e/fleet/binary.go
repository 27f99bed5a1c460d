// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// BinaryVariable is the environment variable with the path of a shardctl to use, which then is not built.
const BinaryVariable = "SHARDCTL_BINARY"

const (
	rootModule = "github.com/shardctl/shardctl"
	// interruptGrace is how long the go command may take to remove its temporary files.
	interruptGrace = 5 * time.Second
)

// BuildOptions say how a program is built.
type BuildOptions struct {
	// Dir receives the program.
	Dir string
	// Race asks for the race detector. It is left out where it does not build, which on Linux means without a C compiler.
	Race bool
}

// Build returns the path of shardctl: what [BinaryVariable] names, or else a fresh build of the source tree.
func Build(ctx context.Context, options BuildOptions) (string, error) {
	if path := os.Getenv(BinaryVariable); path != "" {
		return existing(path)
	}
	return BuildProgram(ctx, "cmd/shardctl", options)
}

func existing(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: name a program, or unset it to have one built", BinaryVariable, err)
	}
	return path, nil
}

// BuildProgram builds a main package of the root module, given by its path in there, and returns the program's path.
func BuildProgram(ctx context.Context, dir string, options BuildOptions) (string, error) {
	root, err := SourceRoot(ctx)
	if err != nil {
		return "", err
	}
	path, err := filepath.Abs(filepath.Join(options.Dir, filepath.Base(dir)))
	if err != nil {
		return "", err
	}
	args := []string{"build", "-o", path}
	if options.Race && canRace(ctx, root) {
		args = append(args, "-race")
	}
	if output, err := goCommand(ctx, root, append(args, "./"+filepath.ToSlash(dir))...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s in %s: %w\n%s", dir, root, err, output)
	}
	return path, nil
}

// SourceRoot returns the directory of the root module. The working directory has to be within the e2e module, as it is in
// tests.
func SourceRoot(ctx context.Context) (string, error) {
	output, err := goCommand(ctx, "", "list", "-m", "-f", "{{.Dir}}", rootModule).Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("find the source of %s: run this within the e2e module: %w", rootModule, err)
	}
	return strings.TrimSpace(string(output)), nil
}

// canRace asks the go command, which switches cgo off where there is no C compiler.
func canRace(ctx context.Context, root string) bool {
	output, err := goCommand(ctx, root, "env", "CGO_ENABLED").Output()
	return err == nil && strings.TrimSpace(string(output)) == "1"
}

func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	// Interrupted rather than killed, so that it removes its temporary files.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	return cmd
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

const (
	kubernetesModule = "k8s.io/kubernetes"
	etcdModule       = "go.etcd.io/etcd/server/v3"
)

// release is what determines the servers' binaries.
type release struct {
	source           string            // the directory of the servers' module
	kubernetes, etcd string            // their versions
	key              string            // names these binaries, and no others, in the cache
	packages         map[string]string // the import path to build, by the name of the server's binary
}

const kubectlPackage = kubernetesModule + "/cmd/kubectl"

// findRelease reads what is to be built from the servers' module.
func findRelease(ctx context.Context) (*release, error) {
	source, err := serversModule(ctx)
	if err != nil {
		return nil, err
	}
	r := &release{source: source, packages: map[string]string{
		etcdBinary:              "./etcd",
		apiServerBinary:         kubernetesModule + "/cmd/kube-apiserver",
		controllerManagerBinary: kubernetesModule + "/cmd/kube-controller-manager",
		schedulerBinary:         kubernetesModule + "/cmd/kube-scheduler",
		reaperBinary:            "./reaper",
	}}
	if err := r.readVersions(); err != nil {
		return nil, err
	}
	if err := r.computeKey(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *release) readVersions() error {
	path := filepath.Join(r.source, "go.mod")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the servers' versions: %w", err)
	}
	file, err := modfile.Parse(path, text, nil)
	if err != nil {
		return fmt.Errorf("read the servers' versions: %w", err)
	}
	for _, require := range file.Require {
		switch require.Mod.Path {
		case kubernetesModule:
			r.kubernetes = require.Mod.Version
		case etcdModule:
			r.etcd = require.Mod.Version
		}
	}
	if r.kubernetes == "" || r.etcd == "" {
		return fmt.Errorf("%s: must require %s and %s", path, kubernetesModule, etcdModule)
	}
	return nil
}

// computeKey hashes everything that goes into the binaries: the module's files, the linker's flags, the compiler, the platform.
func (r *release) computeKey(ctx context.Context) error {
	compiler, err := r.goCommand(ctx, "env", "GOVERSION").Output()
	if err != nil {
		return fmt.Errorf("go env GOVERSION: %w", withStderr(err))
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%s/%s\n%s\n", compiler, runtime.GOOS, runtime.GOARCH, r.linkerFlags())
	for _, name := range []string{"go.mod", "go.sum", "etcd/main.go", "reaper/main.go"} {
		if err := hashFile(hash, filepath.Join(r.source, name)); err != nil {
			return fmt.Errorf("hash the servers' source: %w", err)
		}
	}
	r.key = r.kubernetes + "-" + hex.EncodeToString(hash.Sum(nil))[:12]
	return nil
}

func hashFile(hash io.Writer, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(path), len(text), text)
	return err
}

// linkerFlags sets the version that Kubernetes' own build sets. Without it the API server says v0.0.0-master+$Format:%H$,
// which clients fail to parse.
func (r *release) linkerFlags() string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(semver.MajorMinor(r.kubernetes), "v"), ".")
	values := []string{
		"gitVersion=" + r.kubernetes,
		"gitMajor=" + major,
		"gitMinor=" + minor,
		"gitTreeState=archive",
		"gitCommit=unknown", // a module does not say which commit it was made from
	}
	flags := []string{"-s", "-w"}
	for _, variables := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, value := range values {
			flags = append(flags, "-X", variables+"."+value)
		}
	}
	return strings.Join(flags, " ")
}

// compileServers builds the servers into an existing directory.
func (r *release) compileServers(ctx context.Context, dir string) error {
	return r.compile(ctx, dir, slices.Collect(maps.Values(r.packages))...)
}

// compileKubectl does the same with kubectl.
func (r *release) compileKubectl(ctx context.Context, dir string) error {
	return r.compile(ctx, dir, kubectlPackage)
}

func (r *release) compile(ctx context.Context, dir string, packages ...string) error {
	args := []string{
		"build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", r.linkerFlags(), "-o", dir + string(filepath.Separator),
	}
	args = append(args, packages...)
	if output, err := r.goCommand(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", r.source, err, output)
	}
	return nil
}

func (r *release) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	// Interrupted rather than killed, so that it removes its temporary files.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopGrace
	return cmd
}

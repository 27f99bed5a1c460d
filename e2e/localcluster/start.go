// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

const terminationLog = "termination-log"

// start starts the container's main process.
func (c *container) start(ctx context.Context, id string) (*process, error) {
	image, ok := c.worker.kubelet.images[c.spec.Image]
	if !ok {
		return nil, c.noImage()
	}
	environment, err := c.worker.environment(ctx, c.spec)
	if err != nil {
		return nil, &startError{"CreateContainerConfigError", err}
	}
	user, err := c.user(image)
	if err != nil {
		return nil, &startError{"CreateContainerConfigError", err}
	}
	argv := c.argv(image, environment.values)
	if len(argv) == 0 {
		return nil, &startError{"CreateContainerError", errors.New("no command is specified, and the image has no entrypoint")}
	}
	root, err := c.rootFS(id, image, environment.values)
	if err != nil {
		return nil, &startError{"CreateContainerConfigError", err}
	}
	log := filepath.Join(c.worker.logs, c.spec.Name+".log")
	p, err := command{
		path: argv[0], args: argv, env: environment.list(), dir: orDefault(c.spec.WorkingDir, "/"), user: user,
		root: root, network: c.worker.network.ns, hostname: c.worker.pod.Name, log: log,
	}.start()
	if err != nil {
		return nil, &startError{"RunContainerError", err}
	}
	return p, nil
}

func (c *container) noImage() error {
	names := slices.Sorted(maps.Keys(c.worker.kubelet.images))
	return &startError{"ImagePullBackOff", fmt.Errorf(
		"image %q is not there, and a local cluster pulls nothing: its images are %s", c.spec.Image, strings.Join(names, ", "))}
}

// argv follows the rules for a container's command and args and its image's entrypoint.
func (c *container) argv(image Image, values map[string]string) []string {
	argv := image.Entrypoint
	if len(c.spec.Command) > 0 {
		argv = c.spec.Command
	}
	var expanded []string
	for _, arg := range slices.Concat(argv, c.spec.Args) {
		expanded = append(expanded, expand(arg, values))
	}
	return expanded
}

// user is whom the container runs as.
func (c *container) user(image Image) (syscall.Credential, error) {
	uid, gid, nonRoot := image.User, image.Group, false
	var groups []uint32
	if pod := c.worker.pod.Spec.SecurityContext; pod != nil {
		uid, gid, nonRoot = or(pod.RunAsUser, uid), or(pod.RunAsGroup, gid), or(pod.RunAsNonRoot, nonRoot)
		for _, group := range pod.SupplementalGroups {
			groups = append(groups, uint32(group)) //nolint:gosec // the API server has checked it
		}
		if pod.FSGroup != nil {
			groups = append(groups, uint32(*pod.FSGroup)) //nolint:gosec // as above
		}
	}
	if own := c.spec.SecurityContext; own != nil {
		uid, gid, nonRoot = or(own.RunAsUser, uid), or(own.RunAsGroup, gid), or(own.RunAsNonRoot, nonRoot)
	}
	if nonRoot && uid == 0 {
		return syscall.Credential{}, errors.New("container has runAsNonRoot and image will run as root")
	}
	return syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: groups}, nil //nolint:gosec // as above
}

func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// rootFS prepares what the container will see.
func (c *container) rootFS(id string, image Image, values map[string]string) (*rootFS, error) {
	mounts, err := c.worker.mountsOf(c.spec, values)
	if err != nil {
		return nil, err
	}
	dir := c.dir(id)
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	message := filepath.Join(dir, terminationLog)
	if err := os.WriteFile(message, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Chmod(message, 0o666); err != nil { //nolint:gosec // whoever the container runs as may write there
		return nil, err
	}
	mounts = append(mounts, mount{source: message, target: orDefault(c.spec.TerminationMessagePath, corev1.TerminationMessagePathDefault)})
	security := c.spec.SecurityContext
	return &rootFS{
		dir: root, image: image, mounts: mounts, hostname: c.worker.pod.Name, ip: c.worker.network.ip().String(),
		readOnly: security != nil && or(security.ReadOnlyRootFilesystem, false),
	}, nil
}

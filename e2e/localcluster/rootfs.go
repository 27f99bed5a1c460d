// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// rootOptions limit what a container can write outside its volumes.
const rootOptions = "mode=755,size=64m"

// devices are those of this machine that a container has.
var devices = []string{"null", "zero", "full", "random", "urandom"}

// rootFS is what a container sees: its image's files, its volumes, a few devices, and otherwise nothing of this machine.
type rootFS struct {
	dir      string // where it is mounted
	image    Image
	mounts   []mount
	hostname string
	ip       string
	readOnly bool
}

// mount puts a file or a directory of this machine into a container.
type mount struct {
	source, target string
	readOnly       bool
}

// build mounts everything. The thread has to be in a mount namespace of its own: there the mounts end with it and with the
// processes that it has started, and nobody else sees them.
func (r *rootFS) build() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", r.dir, "tmpfs", unix.MS_NOSUID, rootOptions); err != nil {
		return fmt.Errorf("mount root: %w", err)
	}
	if err := r.writeFiles(); err != nil {
		return err
	}
	for _, m := range r.all() {
		if err := r.bind(m); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if !r.readOnly {
		return nil
	}
	if err := unix.Mount("", r.dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID, ""); err != nil {
		return fmt.Errorf("make root read-only: %w", err)
	}
	return nil
}

// writeFiles writes what a kubelet and a container runtime write.
func (r *rootFS) writeFiles() error {
	for _, dir := range []string{"dev", "etc", "proc"} {
		if err := os.Mkdir(filepath.Join(r.dir, dir), 0o755); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{
		"etc/hostname":    r.hostname + "\n",
		"etc/hosts":       "127.0.0.1\tlocalhost\n" + r.ip + "\t" + r.hostname + "\n",
		"etc/resolv.conf": "", // there is no name server
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o644); err != nil { //nolint:gosec // as it is everywhere
			return err
		}
	}
	return nil
}

// all returns the mounts in the order in which they have to be made: a volume may cover what the image has.
func (r *rootFS) all() []mount {
	mounts := []mount{{source: "/proc", target: "/proc"}}
	for _, device := range devices {
		mounts = append(mounts, mount{source: "/dev/" + device, target: "/dev/" + device})
	}
	for target, source := range r.image.Files {
		mounts = append(mounts, mount{source: source, target: target, readOnly: true})
	}
	return append(mounts, r.mounts...)
}

func (r *rootFS) bind(m mount) error {
	target := filepath.Join(r.dir, filepath.Clean("/"+m.target))
	if err := makeTarget(m.source, target); err != nil {
		return err
	}
	if err := unix.Mount(m.source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if !m.readOnly {
		return nil
	}
	return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

// makeTarget makes an empty file or directory to mount something onto, unless one is there.
func makeTarget(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// within returns the path of a volume's file or directory, which must not lead out of the volume.
func within(dir, subPath string) (string, error) {
	if subPath == "" {
		return dir, nil
	}
	path := filepath.Join(dir, subPath)
	if path != dir && !strings.HasPrefix(path, dir+string(filepath.Separator)) {
		return "", fmt.Errorf("subPath: %q leads out of the volume", subPath)
	}
	return path, nil
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

const (
	etcdBinary              = "etcd"
	apiServerBinary         = "kube-apiserver"
	controllerManagerBinary = "kube-controller-manager"
	schedulerBinary         = "kube-scheduler"
	reaperBinary            = "reaper"
)

// Binaries are the servers, ready to be run.
type Binaries struct {
	Dir        string // where they are, each under its usual name
	Kubernetes string // the version of kube-apiserver, kube-controller-manager and kube-scheduler, such as v1.36.3
	Etcd       string // the version of etcd
}

func (b Binaries) path(name string) string { return filepath.Join(b.Dir, name) }

// Build returns the servers' binaries, and first builds them unless they are in the cache. A build takes minutes, so it says
// so on output beforehand. Of several processes that need the same binaries one builds and the others wait.
//
// It needs the go command in the PATH and, to build, a Go module proxy. Only the context limits how long it takes.
func Build(ctx context.Context, output io.Writer) (Binaries, error) {
	binaries, err := build(ctx, output)
	if err != nil {
		return Binaries{}, fmt.Errorf("build the control plane's servers: %w", err)
	}
	return binaries, nil
}

func build(ctx context.Context, output io.Writer) (Binaries, error) {
	r, err := findRelease(ctx)
	if err != nil {
		return Binaries{}, err
	}
	root, err := cacheRoot()
	if err != nil {
		return Binaries{}, err
	}
	name := fmt.Sprintf("kube-apiserver, kube-controller-manager and kube-scheduler %s and etcd %s", r.kubernetes, r.etcd)
	dir, err := cache{root: root, output: output}.get(ctx, r.key, name, r.compileServers)
	if err != nil {
		return Binaries{}, err
	}
	return Binaries{Dir: dir, Kubernetes: r.kubernetes, Etcd: r.etcd}, nil
}

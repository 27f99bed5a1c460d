// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

// bench is what the parts share: where figures go, and one control plane, which is started when the first part needs it.
type bench struct {
	figures
	progress io.Writer

	dir    string // of logs and of what replicas have noted
	cp     *controlplane.ControlPlane
	groups []*group
}

// tellf says what is being done.
func (b *bench) tellf(format string, args ...any) { fmt.Fprintf(b.progress, "# "+format+"\n", args...) }

// controlPlane starts it, or returns the one that runs.
func (b *bench) controlPlane(ctx context.Context) (*controlplane.ControlPlane, error) {
	if b.cp != nil {
		return b.cp, nil
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "shardctl-bench-"); err != nil {
		return nil, err
	}
	began := time.Now()
	b.cp, err = controlplane.New(ctx, controlplane.Options{LogDir: filepath.Join(b.dir, "controlplane"), Output: b.progress, Durable: true})
	if err != nil {
		return nil, err
	}
	b.tellf("Kubernetes %s on etcd %s is ready after %.1f s", b.cp.Binaries().Kubernetes, b.cp.Binaries().Etcd, time.Since(began).Seconds())
	return b.cp, nil
}

// closeGroups ends the replicas of all groups but the first so many. Those that have ended already are no error.
func (b *bench) closeGroups(but int) error {
	var errs []error
	for _, g := range b.groups[but:] {
		errs = append(errs, g.fleet.Close())
	}
	return errors.Join(errs...)
}

// close ends everything that was started. The logs stay if they may be wanted.
func (b *bench) close(keepLogs bool) error {
	errs := []error{b.closeGroups(0)}
	if b.cp != nil {
		errs = append(errs, b.cp.Stop())
	}
	switch {
	case b.dir == "":
	case keepLogs:
		b.tellf("all logs are in %s", b.dir)
	default:
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

// configuration is of a group whose roles are not in it: a fleet wants one, and grants what it needs.
const configuration = `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata:
  name: %s
spec:
  http:
    address: "127.0.0.1:0"
  roles:
  - name: unused
    decorator:
      resources:
      - {apiVersion: v1, resource: configmaps}
      hooks:
        sync: {webhook: {url: "http://127.0.0.1:1"}}
`

// install makes a group that is new, as whoever installs shardctl does, and has no replica yet.
func (b *bench) install(ctx context.Context, name string, shards int) (*group, error) {
	cp, err := b.controlPlane(ctx)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the program that replicas run: %w", err)
	}
	f, err := fleet.New(ctx, fleet.Options{
		Cluster: cp, Binary: self, Config: fmt.Appendf(nil, configuration, name), LayoutRecord: true, Dir: filepath.Join(b.dir, name),
	})
	if err != nil {
		return nil, err
	}
	g := &group{fleet: f, name: name, shards: shards}
	b.groups = append(b.groups, g)
	return g, nil
}

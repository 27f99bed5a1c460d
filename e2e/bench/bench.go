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
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

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

// configuration is of a group whose work is not in it: a fleet wants one, and grants what it takes to watch the resources.
func configuration(name string, resources ...schema.GroupVersionResource) []byte {
	var rules strings.Builder
	for _, r := range resources {
		fmt.Fprintf(&rules, "      - {apiVersion: %s, resource: %s}\n", r.GroupVersion(), r.Resource)
	}
	return fmt.Appendf(nil, `
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
%s
      hooks:
        sync: {webhook: {url: "http://127.0.0.1:1"}}
`, name, rules.String())
}

// nothingWatched stands for a type in the configuration of those who watch none: one is required there.
var nothingWatched = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

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
		Cluster: cp, Binary: self, Config: configuration(name, nothingWatched), LayoutRecord: true, Dir: filepath.Join(b.dir, name),
	})
	if err != nil {
		return nil, err
	}
	g := &group{fleet: f, name: name, shards: shards}
	b.groups = append(b.groups, g)
	return g, nil
}

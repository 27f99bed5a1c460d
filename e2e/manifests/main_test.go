// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

// What all tests share.
var (
	root   string // of the source
	binary string // shardctl
	// controlPlane is for tests that leave nothing behind which matters to the others: what they apply is what is in manifests/.
	controlPlane *controlplane.ControlPlane
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) (code int) {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx := context.Background()
	var err error
	if root, err = fleet.SourceRoot(ctx); err != nil {
		return fail(err)
	}
	if controlPlane, err = controlplane.New(ctx, options()); err != nil {
		return fail(err)
	}
	defer func() {
		if err := controlPlane.Stop(); err != nil && code == 0 {
			code = fail(err)
		}
	}()
	// Into a directory that is removed whatever happens.
	if binary, err = fleet.Build(ctx, fleet.BuildOptions{Dir: controlPlane.Dir()}); err != nil {
		return fail(err)
	}
	return m.Run()
}

// options of a control plane in which a Deployment makes Pods.
func options() controlplane.Options {
	return controlplane.Options{
		Controllers: append(controlplane.DefaultControllers(), "deployment-controller", "replicaset-controller", "disruption-controller"),
	}
}

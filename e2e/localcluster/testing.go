// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"errors"
	"testing"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

// Start is New for a test: it fails the test if there is no cluster to be had, skips it where that is for want of permissions,
// and closes the cluster when the test and its subtests are over. Logs are treated as by [controlplane.Start].
func Start(t testing.TB, options Options) *Cluster {
	t.Helper()
	options, err := options.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if err := permitted(); errors.Is(err, ErrNotPermitted) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	c, err := onto(t.Context(), controlplane.Start(t, options.ControlPlane), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.closeNodes(); err != nil {
			t.Error(err)
		}
	})
	return c
}

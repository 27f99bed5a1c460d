// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/e2e/oracle"
)

// What all tests share.
var (
	controlPlane *controlplane.ControlPlane
	binary       string           // shardctl
	shardLeases  *oracle.Recorder // of all groups: see the journal
)

func TestMain(m *testing.M) {
	if url := os.Getenv(execHookEnv); url != "" {
		os.Exit(runExecHook(url))
	}
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(runChild(spec))
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) (code int) {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// A program with the race detector would sleep for a second before it exits, which only makes tests long.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		return fail(err)
	}
	ctx := context.Background()
	var err error
	// With the answers, because they have the revisions: see the journal.
	controlPlane, err = controlplane.New(ctx, controlplane.Options{Audit: controlplane.AuditRequestResponse})
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := controlPlane.Stop(); err != nil && code == 0 {
			code = fail(err)
		}
	}()
	shardLeases, err = oracle.Start(ctx, oracle.Options{
		Endpoints: []string{controlPlane.EtcdEndpoint()}, TLS: controlPlane.EtcdTLS(), Under: "leases/",
		Keep: func(k oracle.Key) bool {
			return !strings.HasPrefix(k.Namespace, "kube-") && !strings.Contains(k.Name, ".member-") // heartbeats
		},
	})
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := shardLeases.Stop(); err != nil && code == 0 {
			code = fail(err)
		}
	}()
	// Into a directory that is removed whatever happens.
	if binary, err = fleet.Build(ctx, fleet.BuildOptions{Dir: controlPlane.Dir(), Race: true}); err != nil {
		return fail(err)
	}
	return m.Run()
}

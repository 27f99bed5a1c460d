// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/kind/pkg/cmd"

	"github.com/shardctl/shardctl/e2e/deployed"
	"github.com/shardctl/shardctl/e2e/kindcluster"
)

const (
	enableVariable = "E2E_KIND"
	imageVariable  = "SHARDCTL_IMAGE"
	hookVariable   = "HOOK_IMAGE"
	keepVariable   = "KEEP" // leaves the cluster running

	deleteLimit = time.Minute
)

// kind is the cluster of all tests here; nil if none is asked for.
var kind *kindcluster.Cluster

func TestMain(m *testing.M) {
	if os.Getenv(enableVariable) == "" {
		os.Exit(m.Run())
	}
	code, err := runOnKind(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// runOnKind removes the cluster also when it is interrupted, which ends no test by itself.
func runOnKind(m *testing.M) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	kind, err = kindcluster.Start(ctx, cmd.NewLogger(), kindcluster.Options{
		Image:     cmp.Or(os.Getenv(imageVariable), "shardctl:dev"),
		HookImage: cmp.Or(os.Getenv(hookVariable), "shardctl-example-hook:dev"),
	})
	if err != nil {
		return 1, err
	}
	ended := make(chan int, 1)
	go func() { ended <- m.Run() }()
	select {
	case code = <-ended:
	case <-ctx.Done():
		code = 1
	}
	if os.Getenv(keepVariable) == "1" {
		fmt.Fprintf(os.Stderr, "KUBECONFIG=%s\nkind delete cluster --name %s removes it\n", kind.KubeconfigPath(), kind.Name())
		return code, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteLimit)
	defer cancel()
	if err := kind.Delete(ctx); err != nil {
		return 1, err
	}
	return code, nil
}

func TestDeployedOnKind(t *testing.T) {
	if kind == nil {
		t.Skipf("%s is not set: make e2e-kind runs this", enableVariable)
	}
	deployed.Run(t, kind)
}

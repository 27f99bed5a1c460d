// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/internal/config"
)

// stubCluster has Pods without any API server.
type stubCluster struct{}

func (stubCluster) Config() *rest.Config   { return &rest.Config{} }
func (stubCluster) KubeconfigPath() string { return "admin.kubeconfig" }

func (stubCluster) NewReplica(_ context.Context, o controlplane.ReplicaOptions) (*controlplane.Replica, error) {
	return &controlplane.Replica{
		Namespace: o.Namespace, Name: o.Name, UID: types.UID("uid-of-" + o.Name), Kubeconfig: o.Name + ".kubeconfig",
	}, nil
}

// scripted returns a fleet of a group without any Leases, whose replicas run a shell script.
func scripted(t *testing.T, script string) *Fleet {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "shardctl")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := &Fleet{
		options: Options{Cluster: stubCluster{}, Binary: binary, Namespace: "space", Dir: dir, Env: []string{"EXTRA=yes"}},
		config:  &config.Config{Name: "group"},
		client:  fake.NewClientset(),
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func launch(t *testing.T, f *Fleet, name string, args ...string) *Replica {
	t.Helper()
	r, err := f.Launch(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// awaitLine waits until the replica's log has a line, which the process writes when the test may go on.
func awaitLine(t *testing.T, r *Replica, line string) {
	t.Helper()
	if _, err := r.current().AwaitLine(t.Context(), linePattern(line)); err != nil {
		t.Fatal(err)
	}
}

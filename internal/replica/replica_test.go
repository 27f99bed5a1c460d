// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/internal/config"
)

// A Pod's status tells why its replica has ended, and which that was.
func TestReplicaLeavesWordOfTheErrorItEndsWith(t *testing.T) {
	path := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POD_NAME", "p")
	t.Setenv("POD_UID", "some-uid")
	cfg, err := config.Parse("config.yaml", []byte(`{apiVersion: shardctl.dev/v1alpha1, kind: Configuration, metadata: {name: g}, spec: {http: {address: "127.0.0.1:0"}, roles: [
		{name: r, decorator: {resources: [{apiVersion: v1, resource: configmaps}], hooks: {sync: {webhook: {url: "http://localhost/"}}}}}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	nobody := &rest.Config{Host: "http://127.0.0.1:1"} // refuses every connection
	r, err := New(t.Context(), nobody, cfg, Options{Namespace: "ns", TerminationLog: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.service.listener.Close(); err != nil { // so that serving fails
		t.Fatal(err)
	}
	failure := r.Run(t.Context())
	if failure == nil {
		t.Fatal("Run returned nil although it could not serve")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "shardctl replica main.") || lines[1] != failure.Error() {
		t.Errorf("the file has %q, want a line with the replica and one with %q", lines, failure)
	}
}

// Whoever is told to stop before it knows what it may do has nothing to hand over.
func TestReplicaThatIsStoppedDuringItsCheckDoesNotJoin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POD_NAME", "p")
	t.Setenv("POD_UID", "some-uid")
	cfg, err := config.Parse("config.yaml", []byte(`{apiVersion: shardctl.dev/v1alpha1, kind: Configuration, metadata: {name: g}, spec: {http: {address: "127.0.0.1:0"}, roles: [
		{name: r, decorator: {resources: [{apiVersion: v1, resource: configmaps}], hooks: {sync: {webhook: {url: "http://localhost/"}}}}}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	nobody := &rest.Config{Host: "http://127.0.0.1:1"} // refuses every connection
	r, err := New(t.Context(), nobody, cfg, Options{Namespace: "ns", TerminationLog: path})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if err := r.Run(ctx); err != nil {
		t.Errorf("Run returned %v, want nil", err)
	}
	// The group leaves a line there when it ends.
	if text, err := os.ReadFile(path); err != nil || len(text) > 0 {
		t.Errorf("it has joined the group: %q, %v", text, err)
	}
}

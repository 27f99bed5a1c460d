// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/rbac"
)

// TestExampleIsAllowedWhatItNeeds: its rbac.yaml is what `shardctl rbac` prints for it.
func TestExampleIsAllowedWhatItNeeds(t *testing.T) {
	cfg, err := config.Load(filepath.Join(clientsDir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := rbac.NewGrant(cfg, rbac.Options{Namespace: "orders", ServiceAccount: "orders"}).WriteYAML(&want); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(filepath.Join(clientsDir, "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if string(kept) != want.String() {
		t.Error("rbac.yaml is not what `shardctl rbac config.yaml -n orders` prints: print it anew")
	}
}

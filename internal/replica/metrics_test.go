// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/metricstest"
)

// The tests of pkg/shard and internal/instrument compare the metrics of the group and of
// client-go with their sections.
func TestMetricsAreThoseOfThePage(t *testing.T) {
	t.Setenv("POD_NAME", "p")
	path := filepath.Join(t.TempDir(), "config.yaml")
	text := []byte(fileOf(`http: {address: "127.0.0.1:0"}`, [2]string{"widgets", "sync"}))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(path, text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(t.Context(), &rest.Config{Host: "http://127.0.0.1:1"}, cfg, Options{Namespace: "ns", TerminationLog: "-", ConfigFile: path})
	if err != nil {
		t.Fatal(err)
	}
	r.reload.look(t.Context())
	metricstest.Compare(t, r.registry, metricstest.Command, "shardctl_build_", "shardctl_config_", "promhttp_")
	metricstest.Lint(t, r.registry)

	documented := metricstest.Documented(t, metricstest.Command)
	for _, section := range []string{metricstest.Group, metricstest.ClientGo} {
		maps.Copy(documented, metricstest.Documented(t, section))
	}
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		name := f.GetName()
		if documented[name] == "" && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("docs/metrics.md says nothing of %s", name)
		}
	}
}

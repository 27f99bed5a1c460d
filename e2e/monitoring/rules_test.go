// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write prometheusrule.yaml anew")

// rule is an alert of rules.yaml.
type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []rule `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal(read(t, "rules.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("rules.yaml has no rules")
	}
	return all
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(component, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRulesAreValid(t *testing.T) {
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(component, "rules.yaml"))
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	scenarios, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(scenarios) == 0 {
		t.Fatalf("there are no scenarios: %v", err)
	}
	for _, file := range scenarios {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			promtool(t, "test", "rules", file)
		})
	}
}

// TestEveryAlertHasAScenario: promtool is content with alerts that no scenario is about.
func TestEveryAlertHasAScenario(t *testing.T) {
	loud, err := os.ReadFile("testdata/loud.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		if !bytes.Contains(loud, []byte(`alertname="`+r.Alert+`"`)) {
			t.Errorf("%s fires in no scenario of testdata/loud.yaml", r.Alert)
		}
	}
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), promtoolBinary, args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// TestPrometheusRule: what the operator gets is the rule file.
func TestPrometheusRule(t *testing.T) {
	want := prometheusRule(t)
	if *update {
		if err := os.WriteFile(filepath.Join(component, "prometheusrule.yaml"), want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(read(t, "prometheusrule.yaml"), want) {
		t.Error("prometheusrule.yaml is not that of rules.yaml: go test ./monitoring -run TestPrometheusRule -update")
	}
}

// prometheusRule indents the rule file, so that its comments stay.
func prometheusRule(t *testing.T) []byte {
	t.Helper()
	_, groups, found := strings.Cut(string(read(t, "rules.yaml")), "\ngroups:\n")
	if !found {
		t.Fatal("rules.yaml has no groups")
	}
	var b strings.Builder
	b.WriteString(`# Copyright The shardctl Authors.
# SPDX-License-Identifier: Apache-2.0

# Generated from rules.yaml: cd e2e && go test ./monitoring -run TestPrometheusRule -update
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: shardctl
  namespace: shardctl-system
  labels:
    app.kubernetes.io/name: shardctl
spec:
  groups:
`)
	for line := range strings.Lines(groups) {
		if line != "\n" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return []byte(b.String())
}

func TestAlertsAreWellFormed(t *testing.T) {
	severities := []string{"critical", "warning", "info"} // those that kube-prometheus routes by
	for _, r := range rules(t) {
		if !slices.Contains(severities, r.Labels["severity"]) {
			t.Errorf("%s: severity %q is none of %v", r.Alert, r.Labels["severity"], severities)
		}
		for _, annotation := range []string{"summary", "description"} {
			if r.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", r.Alert, annotation)
			}
		}
		want := "https://github.com/shardctl/shardctl/blob/main/docs/alerts.md#" + strings.ToLower(r.Alert)
		if got := r.Annotations["runbook_url"]; got != want {
			t.Errorf("%s: runbook_url is %q, want %q", r.Alert, got, want)
		}
	}
}

// TestEveryAlertIsExplained compares the rules with docs/alerts.md, in both directions and in their order.
func TestEveryAlertIsExplained(t *testing.T) {
	text, err := os.ReadFile("../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	var alerts, sections []string
	for _, r := range rules(t) {
		alerts = append(alerts, r.Alert)
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok && strings.HasPrefix(name, "Shardctl") {
			sections = append(sections, name)
		}
	}
	if !slices.Equal(alerts, sections) {
		t.Errorf("docs/alerts.md has the sections\n%v\nand there are the alerts\n%v", sections, alerts)
	}
}

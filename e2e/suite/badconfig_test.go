// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// goodConfiguration is what the bad ones are made of.
const goodConfiguration = `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata: {name: demo}
spec:
  timings: {preset: fast}
  http: {address: "127.0.0.1:0"}
  roles:
  - name: widgets
    decorator:
      resources: [{apiVersion: suite.shardctl.dev/v1, resource: widgets}]
      hooks: {sync: {webhook: {url: "http://127.0.0.1:1/sync"}}}
`

// What a file is refused for is told with its field and what to do, by run and validate alike, before anything is done.
func TestBadConfigurationStartsNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.createNamespace(t)
	for _, test := range []struct{ name, old, new, want string }{
		{"not YAML", "spec:", "spec: [", "cannot be read as YAML"},
		{"another kind", "kind: Configuration", "kind: Deployment", "kind Deployment of apiVersion shardctl.dev/v1alpha1 is not known here"},
		{"no group", "{name: demo}", "{}", "metadata.name: Required value"},
		{"a name that is none", "{name: demo}", "{name: Demo}", `metadata.name: Invalid value: "Demo"`},
		{"a preset that is none", "preset: fast", "preset: quick", `spec.timings.preset: Unsupported value: "quick"`},
		{"timings too close", "preset: fast", "leaseDuration: 10s", `spec.timings.leaseDuration: Invalid value: "10s": use 14.4s or more`},
		{"an address that is none", "127.0.0.1:0", "127.0.0.1", `spec.http.address: Invalid value: "127.0.0.1"`},
		{"no roles", goodConfiguration[strings.Index(goodConfiguration, "  roles:"):], "", "spec.roles: Required value"},
		{"an unknown field", "- name: widgets", "- name: widgets\n    bucket: 2", "spec.roles[0].bucket: Forbidden: there is no such field here"},
		{"no buckets", "- name: widgets", "- name: widgets\n    buckets: 0", "spec.roles[0].buckets: Invalid value: 0: use a whole number from 1 to 256"},
		{"no hook", "{sync: {webhook: {url: \"http://127.0.0.1:1/sync\"}}}", "{}", "spec.roles[0].decorator.hooks.sync: Required value"},
		{"a hook without an address", "{url: \"http://127.0.0.1:1/sync\"}", "{}", "spec.roles[0].decorator.hooks.sync.webhook: Required value"},
		{"a timeout without a unit", "sync\"}", "sync\", timeout: 5}", "spec.roles[0].decorator.hooks.sync.webhook.timeout"},
		{"a type without a version", "apiVersion: suite.shardctl.dev/v1, ", "", "spec.roles[0].decorator.resources[0].apiVersion: Invalid value"},
		{"what is not supported", "hooks: {", "hooks: {customize: {webhook: {url: \"http://a/b\"}}, ", "spec.roles[0].decorator.hooks.customize: Forbidden: not supported"},
		{"a second document of the same name", "spec:", "spec:", "roles[1].name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(goodConfiguration, test.old, test.new, 1)
			if test.want == "roles[1].name" {
				text += goodConfiguration[strings.Index(goodConfiguration, "  - name"):]
			}
			file := writeFile(t, text)
			for _, args := range [][]string{{"validate", file}, {"run", "--config", file, "--kubeconfig", controlPlane.KubeconfigPath(), "--namespace", c.namespace}} {
				out, code := shardctl(t, args...)
				if code == 0 || !strings.Contains(out, test.want) || !strings.Contains(out, file) {
					t.Errorf("shardctl %s: exit code %d and %q, want a failure that names %s and says %q", args[0], code, out, file, test.want)
				}
			}
		})
	}
	leases, err := c.kube.CoordinationV1().Leases(c.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(leases.Items) > 0 {
		t.Errorf("Lease %s was created for a configuration that is not valid", leases.Items[0].Name)
	}
}

// A command line that cannot be meant is refused, too.
func TestBadCommandLines(t *testing.T) {
	t.Parallel()
	file := writeFile(t, goodConfiguration)
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no configuration", []string{"run"}, `required flag(s) "config" not set`},
		{"a file that is not there", []string{"run", "--config", file + ".yml"}, "no such file"},
		{"a kubeconfig that is not there", []string{"run", "--config", file, "--kubeconfig", file + ".kubeconfig"}, "finding the cluster"},
		{"nothing to validate", []string{"validate"}, "accepts 1 arg(s)"},
		{"an unknown command", []string{"walk"}, `unknown command "walk"`},
		{"an unknown format", []string{"status", "-o", "xml"}, `-o: "xml" is not allowed: use json, yaml, wide`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if out, code := shardctl(t, test.args...); code == 0 || !strings.Contains(out, test.want) {
				t.Errorf("exit code %d and %q, want a failure that says %q", code, out, test.want)
			}
		})
	}
}

func TestGoodConfigurationIsValid(t *testing.T) {
	t.Parallel()
	if out, code := shardctl(t, "validate", writeFile(t, goodConfiguration)); code != 0 || !strings.Contains(out, "is valid: group demo, 1 roles") {
		t.Errorf("exit code %d and %q", code, out)
	}
}

// shardctl runs a command to its end, and returns all that it printed and its exit code.
func shardctl(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

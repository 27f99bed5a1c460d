// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fileOf is a configuration of group g, with more lines in its spec.
func fileOf(t *testing.T, spec string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata: {name: g}
spec:
  ` + spec + `
  roles:
  - name: r
    decorator:
      resources: [{apiVersion: v1, resource: configmaps}]
      hooks: {sync: {webhook: {url: "http://localhost/"}}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// rolesFile is a configuration of group g with a role of each kind that has no type.
func rolesFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata: {name: g}
spec:
  namespace: ns
  roles:
  - {name: nightly, schedule: {cron: "0 2 * * *", timeZone: Europe/Berlin, webhook: {url: "http://localhost/"}}}
  - {name: importer, exec: {command: [importer]}}
  - {name: leader, leadership: {}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Nothing on cluster level is needed for roles without a type.
func TestRBACOfRolesWithoutAType(t *testing.T) {
	out, err := execute("rbac", rolesFile(t))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "ClusterRole") || strings.Count(out, "kind: Role\n") != 2 {
		t.Errorf("it prints more or less than a Role and its binding:\n%s", out)
	}
}

func TestValidateOfRolesWithoutAType(t *testing.T) {
	if out, err := execute("validate", rolesFile(t)); err != nil || !strings.Contains(out, "is valid: group g, 3 roles") {
		t.Errorf("%s%v", out, err)
	}
}

// Where and for whom, says the file unless a flag does.
func TestRBACIsForWhomItSays(t *testing.T) {
	for _, tc := range []struct{ name, spec, flags, role, clusterRole, subject string }{
		{
			"by the file", "namespace: ns", "",
			"name: shardctl:g\n  namespace: ns\n", "name: shardctl:ns:g\n", "subjects:\n- kind: ServiceAccount\n  name: g\n  namespace: ns\n",
		},
		{
			"by flags", "workers: 4", "-n other --service-account=robot",
			"name: shardctl:g\n  namespace: other\n", "name: shardctl:other:g\n", "subjects:\n- kind: ServiceAccount\n  name: robot\n  namespace: other\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := execute(append([]string{"rbac", fileOf(t, tc.spec)}, strings.Fields(tc.flags)...)...)
			if err != nil {
				t.Fatal(err)
			}
			for part, times := range map[string]int{tc.role: 2, tc.clusterRole: 3, tc.subject: 2} {
				if n := strings.Count(out, part); n != times {
					t.Errorf("%q is there %d times, want %d:\n%s", part, n, times, out)
				}
			}
		})
	}
}

func TestRBACLeavesOutWhatIsOptional(t *testing.T) {
	file := fileOf(t, "namespace: ns")
	all, err := execute("rbac", file)
	if err != nil {
		t.Fatal(err)
	}
	required, err := execute("rbac", file, "--no-optional")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(all, "# Optional: ") || strings.Contains(required, "# Optional: ") || strings.Contains(required, "- pods\n") {
		t.Errorf("with all there is:\n%s\nwith --no-optional:\n%s", all, required)
	}
}

func TestRBACSaysWhatItLacks(t *testing.T) {
	for _, tc := range []struct{ spec, flags, want string }{
		{"workers: 4", "", "--namespace: is missing"},
		{"namespace: ns", "-n other", `--namespace: "other" is not the file's spec.namespace, "ns"`},
		{"workers: 4", "-n Other", `--namespace: "Other" is not the name of a namespace`},
		{"namespace: ns", "--service-account=ns:robot", `--service-account: "ns:robot" is not the name of a service account`},
		{"nonsense: 4", "", "spec.nonsense"},
	} {
		if _, err := execute(append([]string{"rbac", fileOf(t, tc.spec)}, strings.Fields(tc.flags)...)...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %s: %v, want %q", tc.spec, tc.flags, err, tc.want)
		}
	}
}

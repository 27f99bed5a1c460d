// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/internal/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// everything is a file that makes use of all there is.
const everything = `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata: {name: widgets-operator}
spec:
  http:
    tls: {certFile: /tls/tls.crt, keyFile: /tls/tls.key}
    authorization: {protect: [metrics]}
  roles:
  - name: plain
    buckets: 4
    decorator:
      resources: [{apiVersion: demo.example.com/v1, resource: gadgets}, {apiVersion: v1, resource: nodes}]
      hooks: {sync: {webhook: {url: "http://localhost/"}}}
---
apiVersion: metacontroller.k8s.io/v1alpha1
kind: DecoratorController
metadata: {name: attaching}
spec:
  resources: [{apiVersion: demo.example.com/v1, resource: widgets}, {apiVersion: v1, resource: configmaps}]
  attachments:
  - {apiVersion: v1, resource: services}
  - {apiVersion: batch/v1, resource: jobs, updateStrategy: {method: Recreate}}
  - {apiVersion: apps/v1, resource: deployments, updateStrategy: {method: InPlace}}
  - {apiVersion: v1, resource: configmaps, updateStrategy: {method: InPlace}}
  hooks:
    sync: {webhook: {url: "http://localhost/"}}
    finalize: {webhook: {url: "http://localhost/"}}
`

// little is a file that needs as little as possible.
const little = `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata: {name: "1"}
spec:
  podWatch: false
  events: false
  roles:
  - name: plain
    decorator:
      resources: [{apiVersion: v1, resource: configmaps}]
      hooks: {sync: {webhook: {url: "http://localhost/"}}}
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func printed(t *testing.T, g *Grant) string {
	t.Helper()
	var out strings.Builder
	if err := g.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGrantIsPrintedAsInTheGoldenFiles(t *testing.T) {
	for _, tc := range []struct {
		golden, config string
		options        Options
	}{
		{"everything.yaml", everything, Options{Namespace: "operators", ServiceAccount: "widgets"}},
		{"little.yaml", little, Options{Namespace: "null", ServiceAccount: "1", NoOptional: true}},
		{"roles.yaml", roles, Options{Namespace: "operators", ServiceAccount: "widgets", NoOptional: true}},
	} {
		t.Run(tc.golden, func(t *testing.T) {
			got, path := printed(t, NewGrant(parse(t, tc.config), tc.options)), filepath.Join("testdata", tc.golden)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("it is not that of the golden file (-update writes it anew):\n%s", got)
			}
		})
	}
}

// Who applies what is printed gets the same as who uses the objects.
func TestPrintedGrantIsTheGrant(t *testing.T) {
	g := NewGrant(parse(t, everything), Options{Namespace: "operators", ServiceAccount: "widgets"})
	documents := strings.Split(printed(t, g), "---\n")[1:]
	wants := []any{g.Role, g.RoleBinding, g.ClusterRole, g.ClusterRoleBinding}
	if len(documents) != len(wants) {
		t.Fatalf("%d documents, want %d", len(documents), len(wants))
	}
	for i, want := range wants {
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
		if err := yaml.UnmarshalStrict([]byte(documents[i]), got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("printed and read again it is\n%+v\nwant\n%+v", got, want)
		}
	}
}

// Updating is for those alone who have something updated.
func TestVerbsOfAttachmentsGoByTheUpdateStrategy(t *testing.T) {
	for method, want := range map[string]string{
		"OnDelete": "list watch get create delete",
		"Recreate": "list watch get create delete",
		"InPlace":  "list watch get create delete update",
	} {
		text := strings.Replace(little, "      hooks:",
			"      attachments: [{apiVersion: v1, resource: secrets, updateStrategy: {method: "+method+"}}]\n      hooks:", 1)
		var verbs []string
		for _, r := range Rules(parse(t, text)) {
			if r.Target() == "secrets" {
				verbs = append(verbs, r.Verbs...)
			}
		}
		if got := strings.Join(verbs, " "); got != want {
			t.Errorf("%s: %q, want %q", method, got, want)
		}
	}
}

// A verb stands in one rule only, so that it is asked for once, and whoever removes it has removed it.
func TestRulesDoNotOverlap(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules(parse(t, everything)) {
		for _, verb := range r.Verbs {
			if one := r.Describe([]string{verb}, "ns"); seen[one] {
				t.Errorf("%s is there twice", one)
			} else {
				seen[one] = true
			}
		}
	}
}

// Nobody is given more than what is named, and nothing on cluster level that has to do with the group alone.
func TestGrantIsLeastPrivilege(t *testing.T) {
	g := NewGrant(parse(t, everything), Options{Namespace: "operators", ServiceAccount: "widgets"})
	for _, rule := range append(append([]rbacv1.PolicyRule{}, g.Role.Rules...), g.ClusterRole.Rules...) {
		for _, words := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
			if len(words) == 0 || strings.Contains(strings.Join(words, " "), "*") {
				t.Errorf("a rule has a wildcard, or names nothing: %v", rule)
			}
		}
	}
	for _, rule := range g.ClusterRole.Rules {
		for _, resource := range rule.Resources {
			if resource == "leases" || resource == "pods" || resource == "events" {
				t.Errorf("%v is granted in all namespaces", rule)
			}
		}
	}
}

// Asking who somebody is and what he may do is for those alone who protect something, and
// telling of shards for those who do.
func TestWhatIsNotUsedIsNotGranted(t *testing.T) {
	for text, want := range map[string]map[string]bool{
		everything: {"tokenreviews": true, "subjectaccessreviews": true, "events": true},
		little:     {},
	} {
		got := map[string]bool{}
		for _, r := range Rules(parse(t, text)) {
			switch r.Target() {
			case "tokenreviews", "subjectaccessreviews", "events":
				got[r.Target()] = r.Optional()
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("granted, and optional, is %v, want %v for%s", got, want, text)
		}
	}
}

func TestDescribe(t *testing.T) {
	rules := Rules(parse(t, little))
	for i, want := range map[int]string{
		0: "get, list, watch, create, update, delete leases.coordination.k8s.io in namespace ns",
		1: "get pods in namespace ns",
		7: "update configmaps/status in all namespaces",
	} {
		if got := rules[i].Describe(rules[i].Verbs, "ns"); got != want {
			t.Errorf("rule %d is %q, want %q", i, got, want)
		}
	}
}

// roles is a file whose roles have no types.
const roles = `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata: {name: widgets-operator}
spec:
  leadership: {authorization: true}
  roles:
  - {name: nightly, schedule: {cron: "@daily", webhook: {url: "http://localhost/"}}}
  - {name: importer, exec: {command: [importer]}}
  - {name: leader, leadership: {}, readiness: {pod: {}}}
`

// Roles without a type need nothing on cluster level but to know who asks.
func TestRolesWithoutATypeNeedTheGroupsNamespaceOnly(t *testing.T) {
	for _, r := range Rules(parse(t, roles)) {
		if target := r.Target(); !r.InGroup && target != "tokenreviews" && target != "subjectaccessreviews" {
			t.Errorf("%s is needed in all namespaces", target)
		}
		if !r.InGroup && r.Without != "nobody can read what spec.leadership.authorization protects" {
			t.Errorf("without %s %s", r.Target(), r.Without)
		}
	}
	without := Rules(parse(t, strings.Replace(roles, "authorization: true", "authorization: false", 1)))
	for _, r := range without {
		if !r.InGroup {
			t.Errorf("%s is needed in all namespaces", r.Target())
		}
	}
}

// What a role's readiness asks for the replica cannot do without, whatever else Pods are
// watched for.
func TestReadinessOfThePodIsRequired(t *testing.T) {
	for _, tc := range []struct {
		name, from, to     string
		granted, mustStart bool
		words              string
	}{
		{"beside the watch for crashes", "", "", true, true, "see whether the replica's own Pod is Ready, which the readiness of a role asks for; and to know at once of a replica that has crashed"},
		{"alone", "spec:", "spec:\n  podWatch: false", true, true, "see whether the replica's own Pod is Ready, which the readiness of a role asks for"},
		{"not asked for", ", readiness: {pod: {}}", "", true, false, "know at once of a replica that has crashed"},
		{"nor anything else", ", readiness: {pod: {}}}", "}\n  podWatch: false", false, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found := false
			for _, r := range Rules(parse(t, strings.Replace(roles, tc.from, tc.to, 1))) {
				if r.Target() != "pods" || r.Verbs[0] != "list" {
					continue
				}
				found = true
				if r.Optional() == tc.mustStart || !strings.HasPrefix(r.For, tc.words) || !r.InPod || !r.InGroup {
					t.Errorf("the rule is %+v, required: %t, for %q", r, tc.mustStart, tc.words)
				}
			}
			if found != tc.granted {
				t.Errorf("granted: %t, want %t", found, tc.granted)
			}
		})
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// For whom the policies are, says the file unless a flag does.
func TestFenceIsForWhomItSays(t *testing.T) {
	for _, tc := range []struct{ name, spec, flags, account, label string }{
		{"by the file", "namespace: ns", "", "'system:serviceaccount:ns:g'", "shardctl.dev/namespace: ns\n"},
		{"by flags", "workers: 4", "-n other --service-account=robot", "'system:serviceaccount:other:robot'", "shardctl.dev/namespace: other\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := execute(append([]string{"fence", fileOf(t, tc.spec)}, strings.Fields(tc.flags)...)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{tc.account, tc.label} {
				if !strings.Contains(out, part) {
					t.Errorf("%q is missing:\n%s", part, out)
				}
			}
		})
	}
}

// Whoever reads the file learns how to install and to remove it; kubectl can read all of it.
func TestFencePrintsDocuments(t *testing.T) {
	out, err := execute("fence", fileOf(t, "namespace: ns"))
	if err != nil {
		t.Fatal(err)
	}
	head, documents, _ := strings.Cut(out, "---\n")
	for _, part := range []string{"kubectl apply -k manifests/components/fence", "kubectl delete validatingadmissionpolicybindings -l shardctl.dev/group=g,shardctl.dev/namespace=ns", "Digest: "} {
		if !strings.Contains(head, part) {
			t.Errorf("the head does not say %q:\n%s", part, head)
		}
	}
	kinds := map[string]int{}
	for document := range strings.SplitSeq(documents, "---\n") {
		var object struct{ Kind string }
		if err := yaml.UnmarshalStrict([]byte(document), &map[string]any{}); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		kinds[object.Kind]++
	}
	if kinds["ValidatingAdmissionPolicy"] != 3 || kinds["ValidatingAdmissionPolicyBinding"] != 3 || len(kinds) != 2 {
		t.Errorf("documents of the kinds %v, want 3 policies and 3 bindings", kinds)
	}
}

// Roles without a type have nothing to fence; what an earlier configuration had is to go.
func TestFenceOfRolesWithoutATypeIsAComment(t *testing.T) {
	out, err := execute("fence", rolesFile(t))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "#") {
			t.Errorf("it prints %q, which is no comment", line)
		}
	}
	for _, part := range []string{"There is nothing to fence: no role of group g has a resource type", "kubectl delete validatingadmissionpolicies -l shardctl.dev/group=g,shardctl.dev/namespace=ns"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing:\n%s", part, out)
		}
	}
}

func TestFenceNeedsToKnowWhere(t *testing.T) {
	_, err := execute("fence", fileOf(t, "workers: 4"))
	says(t, err, "--namespace: is missing")
}

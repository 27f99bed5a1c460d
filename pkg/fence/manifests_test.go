// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

var update = flag.Bool("update", false, "write what is generated now into the files that it is compared with")

// checkFile compares what was generated with a file.
func checkFile(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil { //nolint:gosec // a manifest is for everybody
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is generated now. If that is meant to be, run: go test ./pkg/fence -update", path)
	}
}

func yamlOf(t *testing.T, f *Fence, head string) []byte {
	t.Helper()
	out := bytes.NewBufferString(head)
	if err := f.WriteYAML(out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What operators install for all groups is what this version generates.
func TestManifestsAreTheGeneralPart(t *testing.T) {
	checkFile(t, filepath.Join("..", "..", "manifests", "components", "fence", "fence.yaml"),
		yamlOf(t, General(), "# Generated from package fence: go test ./pkg/fence -update\n"))
}

// Reviewers see what a change makes of the policies. The types are one of each sort: with attachments, an
// attachment itself, of the core group, and with what every replica writes for itself.
func TestPoliciesOfAGroup(t *testing.T) {
	checkFile(t, filepath.Join("testdata", "group.yaml"), yamlOf(t, group(t), ""))
}

func group(t *testing.T) *Fence {
	t.Helper()
	widgets, gadgets := schema.GroupResource{Group: "demo.example.com", Resource: "widgets"}, schema.GroupResource{Group: "demo.example.com", Resource: "gadgets"}
	f, err := New(Options{Group: "demo", Namespace: "apps", ServiceAccount: "robot", Types: []Type{
		{Resource: widgets, Attachments: []schema.GroupResource{{Resource: "configmaps"}, gadgets}},
		{Resource: gadgets},
		{Resource: schema.GroupResource{Resource: "pods"}, Attachments: []schema.GroupResource{{Group: "coordination.k8s.io", Resource: "leases"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

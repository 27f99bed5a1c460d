// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

func TestReleaseVersions(t *testing.T) {
	r, err := findRelease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.key, r.kubernetes+"-") {
		t.Errorf("the key %q does not name the version %s", r.key, r.kubernetes)
	}
	if flag := "-X k8s.io/component-base/version.gitVersion=" + r.kubernetes; !strings.Contains(r.linkerFlags(), flag) {
		t.Errorf("the linker's flags are %q, want %q among them", r.linkerFlags(), flag)
	}
	if oldest := "v3.6.9"; semver.Compare(r.etcd, oldest) < 0 {
		t.Errorf("etcd is %s: before %s it can serve stale reads", r.etcd, oldest)
	}
}

// Every staging module has to come from the very release of k8s.io/kubernetes.
func TestReleaseStagingModulesGoTogether(t *testing.T) {
	r, err := findRelease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(r.source, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "v0" + strings.TrimPrefix(r.kubernetes, "v1")
	for _, replace := range file.Replace {
		if replace.New.Path != replace.Old.Path || replace.New.Version != want {
			t.Errorf("%s is replaced by %s, want %s %s", replace.Old.Path, replace.New, replace.Old.Path, want)
		}
	}
	if len(file.Replace) == 0 {
		t.Error("no staging module is replaced")
	}
}

func TestReleaseKeyFollowsSource(t *testing.T) {
	r, err := findRelease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	edited := *r
	edited.source = t.TempDir()
	if err := os.CopyFS(edited.source, os.DirFS(r.source)); err != nil {
		t.Fatal(err)
	}
	if err := edited.computeKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if edited.key != r.key {
		t.Errorf("a copy of the source has the key %s, want %s", edited.key, r.key)
	}
	file, err := os.OpenFile(filepath.Join(edited.source, "go.sum"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := edited.computeKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if edited.key == r.key {
		t.Errorf("another go.sum has the same key, %s", r.key)
	}
}

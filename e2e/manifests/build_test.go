// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// What the tests name.
const (
	exampleOverlay = "manifests/overlays/example"
	exampleFence   = "manifests/overlays/example/fence"
	generalFence   = "manifests/components/fence"
	namespace      = "shardctl-system"
	name           = "shardctl" // of the group, the Deployment, the container, and others
)

// kustomizations returns the directories of all there are, relative to the source's root.
func kustomizations(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for _, top := range []string{"manifests", "examples"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Name() == "kustomization.yaml" {
				path, err = filepath.Rel(root, filepath.Dir(path))
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Contains(dirs, exampleOverlay) {
		t.Fatalf("%s is not among the kustomizations %q", exampleOverlay, dirs)
	}
	return dirs
}

// build does what kubectl apply -k does first. dir is relative to the source's root.
func build(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	return buildAt(t, filepath.Join(root, dir))
}

// buildComponent builds a component as part of what it changes.
func buildComponent(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	user := t.TempDir()
	relative := func(dir string) string {
		path, err := filepath.Rel(user, filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := fmt.Sprintf("resources: [%s]\ncomponents: [%s]\n", relative("manifests/base"), relative(dir))
	if err := os.WriteFile(filepath.Join(user, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return buildAt(t, user)
}

func buildAt(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy
	built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatalf("kustomize build %s: %v", dir, err)
	}
	var objects []*unstructured.Unstructured
	for _, resource := range built.Resources() {
		content, err := resource.Map()
		if err != nil {
			t.Fatalf("kustomize build %s: %s: %v", dir, resource.CurId(), err)
		}
		objects = append(objects, &unstructured.Unstructured{Object: content})
	}
	return objects
}

// find returns the only object of a kind, as what it is.
func find[T any](t *testing.T, objects []*unstructured.Unstructured, kind string) *T {
	t.Helper()
	found := slices.Collect(func(yield func(*unstructured.Unstructured) bool) {
		for _, object := range objects {
			if object.GetKind() == kind && !yield(object) {
				return
			}
		}
	})
	if len(found) != 1 {
		t.Fatalf("there are %d objects of kind %s, want 1", len(found), kind)
	}
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(found[0].Object, typed, true); err != nil {
		t.Fatalf("%s %s: %v", kind, found[0].GetName(), err)
	}
	return typed
}

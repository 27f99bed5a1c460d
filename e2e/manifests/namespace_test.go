// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The line that overlays/example says is enough, but for what is printed anew.
func TestNamespaceIsChangedByOneLine(t *testing.T) {
	const other = "operators"
	dir := copyInto(t, other)
	objects := buildAt(t, filepath.Join(dir, exampleOverlay))
	ensureNamespace(t, other)
	a := newApplier(t, controlPlane.Config())
	for _, object := range objects {
		if got := object.GetNamespace(); got != "" && got != other {
			t.Errorf("%s %s is in namespace %s", object.GetKind(), object.GetName(), got)
		}
		if err := a.apply(t, object, false); err != nil {
			t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
		}
		text, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), namespace) {
			t.Errorf("%s %s still speaks of %s: %s", object.GetKind(), object.GetName(), namespace, text)
		}
	}
	for _, subject := range append(find[rbacv1.RoleBinding](t, objects, "RoleBinding").Subjects,
		find[rbacv1.ClusterRoleBinding](t, objects, "ClusterRoleBinding").Subjects...) {
		if subject.Namespace != other {
			t.Errorf("%s %s in namespace %s is allowed what the replicas need", subject.Kind, subject.Name, subject.Namespace)
		}
	}
	rule := find[flowcontrolv1.FlowSchema](t, objects, "FlowSchema").Spec.Rules[0]
	if account := rule.Subjects[0].ServiceAccount; account.Namespace != other || rule.ResourceRules[0].Namespaces[0] != other {
		t.Errorf("the FlowSchema is about %+v and %+v", account, rule.ResourceRules[0])
	}
}

// What two groups shared would be the last one's that was applied, and go with the first one that is deleted.
func TestGroupsShareNoClusterScopedObject(t *testing.T) {
	dir, a := copyInto(t, "operators"), newApplier(t, controlPlane.Config())
	for _, kustomization := range []string{exampleOverlay, exampleFence} {
		first := a.clusterScoped(t, build(t, kustomization))
		second := a.clusterScoped(t, buildAt(t, filepath.Join(dir, kustomization)))
		if len(first) == 0 || len(second) != len(first) {
			t.Errorf("%s has the cluster-scoped objects %q, in another namespace %q", kustomization, first, second)
		}
		for _, object := range second {
			if slices.Contains(first, object) {
				t.Errorf("%s: two groups share %s", kustomization, object)
			}
		}
	}
}

// copyInto makes another group of the example, as the README says, and returns where the copy of the source's root is.
func copyInto(t *testing.T, namespace string) string {
	t.Helper()
	dir := t.TempDir()
	for _, top := range []string{"manifests", "examples"} {
		if err := os.CopyFS(filepath.Join(dir, top), os.DirFS(filepath.Join(root, top))); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.OpenFile(filepath.Join(dir, exampleOverlay, "kustomization.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("namespace: " + namespace + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for command, file := range printedFiles {
		if err := os.WriteFile(filepath.Join(dir, file), printed(t, command, namespace), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// clusterScoped returns kinds and names of what belongs to no namespace, but for the types: these are everybody's. kustomize
// writes a namespace into some of them, and API servers and kubectl take it out.
func (a *applier) clusterScoped(t *testing.T, objects []*unstructured.Unstructured) (names []string) {
	t.Helper()
	for _, object := range objects {
		kind := object.GroupVersionKind()
		mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			t.Fatal(err)
		}
		if mapping.Scope.Name() == meta.RESTScopeNameRoot && kind.Kind != "CustomResourceDefinition" {
			names = append(names, kind.Kind+" "+object.GetName())
		}
	}
	return names
}

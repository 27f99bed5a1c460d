// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// The line that overlays/example says is enough, but for what is printed anew.
func TestNamespaceIsChangedByOneLine(t *testing.T) {
	const other = "operators"
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
	if _, err := file.WriteString("namespace: " + other + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}

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
		// The names and labels of what shardctl rbac prints have it, too.
		if strings.Contains(string(text), namespace) && !strings.Contains(object.GetAPIVersion(), "rbac") {
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

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
)

func TestAPIServerTakesWhatIsRendered(t *testing.T) {
	a := newApplier(t, controlPlane.Config())
	installOperatorCRDs(t, a)
	kinds := map[string]bool{}
	for _, dir := range kustomizations(t) {
		t.Run(dir, func(t *testing.T) {
			objects := build
			if strings.HasPrefix(dir, "manifests/components/") {
				objects = buildComponent
			}
			for _, object := range objects(t, dir) {
				ensureNamespace(t, object.GetNamespace())
				if err := a.apply(t, object, false); err != nil {
					t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
				}
				kinds[object.GetKind()] = true
			}
		})
	}
	// What the API server knows by its schema alone has been looked at, too.
	for _, kind := range []string{"Deployment", "FlowSchema", "ValidatingAdmissionPolicy", "CustomResourceDefinition"} {
		if !kinds[kind] {
			t.Errorf("no object of kind %s was shown to the API server", kind)
		}
	}
}

func TestAPIServerIsStrict(t *testing.T) {
	a := newApplier(t, controlPlane.Config())
	ensureNamespace(t, namespace)
	for _, object := range build(t, "manifests/base") {
		if object.GetKind() != "Deployment" {
			continue
		}
		if err := unstructured.SetNestedField(object.Object, "x", "spec", "template", "spec", "prioritizeMe"); err != nil {
			t.Fatal(err)
		}
		if err := a.apply(t, object, false); err == nil || !strings.Contains(err.Error(), "prioritizeMe") {
			t.Errorf("a field that does not exist: %v", err)
		}
	}
}

// ensureNamespace makes namespaces that objects are rendered into, since a dry run makes none.
func ensureNamespace(t *testing.T, name string) {
	t.Helper()
	if name == "" {
		return
	}
	client := kubernetes.NewForConfigOrDie(controlPlane.Config())
	_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

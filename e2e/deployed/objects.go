// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

const (
	demoGroup        = "demo.shardctl.dev" // of the example's types
	objectsNamespace = "shardctl-objects"
	objectsOfType    = 12
	// still is an object that nobody changes.
	still = "still"
)

var (
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
)

// objectType is one of examples/decorator.
type objectType struct {
	schema.GroupVersionResource
	kind string
}

// newObject is one that the selectors of the example's roles let pass.
func (o objectType) newObject(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": o.GroupVersion().String(), "kind": o.kind,
		"metadata": map[string]any{
			"namespace": objectsNamespace, "name": name,
			"labels": map[string]any{"shop": "open"}, "annotations": map[string]any{"shop": "open"},
		},
		"spec": map[string]any{"size": int64(1), "color": "red"},
	}}
}

func objectName(i int) string { return fmt.Sprintf("object-%d", i) }

// createObjects makes all objects that are not there yet.
func (s *suite) createObjects(ctx context.Context) error {
	space := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": objectsNamespace}}}
	if _, err := s.dynamic.Resource(namespaces).Create(ctx, space, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	for _, o := range s.types {
		names := []string{still}
		for i := range objectsOfType {
			names = append(names, objectName(i))
		}
		objects := s.dynamic.Resource(o.GroupVersionResource).Namespace(objectsNamespace)
		for _, name := range names {
			if _, err := objects.Create(ctx, o.newObject(name), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("create %s %s: %w", o.kind, name, err)
			}
		}
	}
	return nil
}

// expectWork gives every object something new to be reconciled, and waits until all have been since.
func (s *suite) expectWork(t *testing.T) {
	t.Helper()
	wanted := map[types.UID]int64{}
	for _, o := range s.types {
		for i := range objectsOfType {
			changed, err := s.load.change(t.Context(), o, objectName(i))
			if err != nil {
				t.Fatal(err)
			}
			wanted[changed.GetUID()] = changed.GetGeneration()
		}
	}
	eventually(t, "every object has been reconciled again", func(ctx context.Context) error {
		return s.eachObject(ctx, func(object *unstructured.Unstructured) error {
			if seen := observed(object); seen < wanted[object.GetUID()] {
				return fmt.Errorf("generation %d is wanted, %d was seen", wanted[object.GetUID()], seen)
			}
			return nil
		})
	})
}

// eachObject checks all objects, and joins what is wrong with them.
func (s *suite) eachObject(ctx context.Context, check func(*unstructured.Unstructured) error) error {
	var errs []error
	for _, o := range s.types {
		list, err := s.dynamic.Resource(o.GroupVersionResource).Namespace(objectsNamespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if want := objectsOfType + 1; len(list.Items) != want {
			errs = append(errs, fmt.Errorf("there are %d objects of type %s, not %d", len(list.Items), o.Resource, want))
		}
		for i := range list.Items {
			if err := check(&list.Items[i]); err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", o.kind, list.Items[i].GetName(), err))
			}
		}
	}
	return errors.Join(errs...)
}

// allReconciled checks every object and what is attached to it, which is for when nothing is being changed.
func (s *suite) allReconciled(ctx context.Context) error {
	list, err := s.dynamic.Resource(configMaps).Namespace(objectsNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	labels := map[string]string{}
	for i := range list.Items {
		labels[list.Items[i].GetName()], _, _ = unstructured.NestedString(list.Items[i].Object, "data", "label")
	}
	return s.eachObject(ctx, func(object *unstructured.Unstructured) error {
		if seen := observed(object); seen != object.GetGeneration() {
			return fmt.Errorf("its generation is %d, %d was seen", object.GetGeneration(), seen)
		}
		want, _, _ := unstructured.NestedString(object.Object, "status", "label")
		if has := labels[strings.ToLower(object.GetKind())+"-"+object.GetName()]; has != want {
			return fmt.Errorf("its status says %q, its ConfigMap %q", want, has)
		}
		return nil
	})
}

// isSettled tells the oracle whether an object's status is that of its newest generation.
func isSettled(object *unstructured.Unstructured) bool {
	return observed(object) == object.GetGeneration()
}

func observed(object *unstructured.Unstructured) int64 {
	generation, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	return generation
}

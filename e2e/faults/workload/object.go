// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
)

// childless is of which numbers one in so many wants no child: it then has to be deleted.
const childless = 7

// New is a new object of the type.
func (t Type) New(namespace, name string, value int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": t.APIVersion(), "kind": t.Kind,
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"spec":     map[string]any{"value": value},
	}}
}

// Value is the number that an object has.
func Value(object *unstructured.Unstructured) int64 {
	value, _, _ := unstructured.NestedInt64(object.Object, "spec", "value")
	return value
}

// WantsChild tells whether an object of this number has a child.
func WantsChild(value int64) bool { return value%childless != 0 }

// ChildName is the name of an object's child.
func (t Type) ChildName(object string) string { return strings.ToLower(t.Kind) + "-" + object }

// Child is what an object's child has to be, with the annotations of its writer.
func (t Type) Child(owner *unstructured.Unstructured, annotations map[string]string) *unstructured.Unstructured {
	child := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"data": map[string]any{"value": strconv.FormatInt(Value(owner), 10)},
	}}
	child.SetNamespace(owner.GetNamespace())
	child.SetName(t.ChildName(owner.GetName()))
	child.SetAnnotations(annotations)
	child.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: t.APIVersion(), Kind: t.Kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: ptr.To(true),
	}})
	return child
}

// Unreconciled says what is not as it has to be; nil if all is. The child is nil if there is none.
func Unreconciled(object, child *unstructured.Unstructured) error {
	want := Value(object)
	observed, found, _ := unstructured.NestedInt64(object.Object, "status", "observed")
	if !found || observed != want {
		return fmt.Errorf("spec.value is %d, status.observed is %d", want, observed)
	}
	if child == nil {
		if WantsChild(want) {
			return fmt.Errorf("spec.value is %d, it has no child", want)
		}
		return nil
	}
	has, _, _ := unstructured.NestedString(child.Object, "data", "value")
	if !WantsChild(want) || has != strconv.FormatInt(want, 10) {
		return fmt.Errorf("spec.value is %d, its child has %s", want, has)
	}
	return nil
}

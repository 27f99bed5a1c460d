// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// owns tells whether this decorator created obj for parent. Either mark alone is not enough: a parent's
// own controller makes objects that the parent controls, and a decorator makes some for many parents.
func (c *Controller) owns(parent *unstructured.Unstructured, obj Metadata) bool {
	owner := controllerOf(obj)
	return owner != nil && owner.UID == parent.GetUID() && obj.GetAnnotations()[ownerAnnotation] == c.document.Name()
}

// controllerOf returns the reference to an object's controller, nil if it has none.
func controllerOf(obj Metadata) *metav1.OwnerReference {
	for _, ref := range obj.GetOwnerReferences() {
		if ref.Controller != nil && *ref.Controller {
			return &ref
		}
	}
	return nil
}

// controllerReference is the owner reference that marks parent as the controller of an attachment.
func controllerReference(parent *unstructured.Unstructured) map[string]any {
	return map[string]any{
		"apiVersion":         parent.GetAPIVersion(),
		"kind":               parent.GetKind(),
		"name":               parent.GetName(),
		"uid":                string(parent.GetUID()),
		"controller":         true,
		"blockOwnerDeletion": true,
	}
}

// controllerIn returns the reference to a controller in a list of owner references, nil if it has none.
func controllerIn(refs any) map[string]any {
	list, _ := refs.([]any)
	for _, ref := range list {
		if ref, ok := ref.(map[string]any); ok && ref["controller"] == true {
			return ref
		}
	}
	return nil
}

// withOwner returns refs with own as the only reference to its owner, whatever the hook said of it.
func withOwner(refs []any, own map[string]any) []any {
	out := make([]any, 0, len(refs)+1)
	found := false
	for _, ref := range refs {
		if uidIn(ref) == uidIn(own) {
			if found {
				continue
			}
			ref, found = own, true
		}
		out = append(out, ref)
	}
	if !found {
		out = append(out, own)
	}
	return out
}

func uidIn(ref any) string {
	object, _ := ref.(map[string]any)
	uid, _ := object["uid"].(string)
	return uid
}

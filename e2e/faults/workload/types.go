// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/pkg/lease"
)

// ConfigMaps is the type of the children.
var ConfigMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// Type is a type of objects that the replicas reconcile.
type Type struct {
	schema.GroupVersionResource
	Kind      string
	Buckets   int
	Partition lease.Partition
	// Status says that the status is a subresource.
	Status bool
}

// Types are those of one group of replicas, which has an API group of its own: several groups share a control plane.
func Types(group string) []Type {
	resource := func(plural string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: group + ".example.com", Version: "v1", Resource: plural}
	}
	return []Type{
		{GroupVersionResource: resource("widgets"), Kind: "Widget", Buckets: 4, Partition: lease.ByUID, Status: true},
		{GroupVersionResource: resource("gadgets"), Kind: "Gadget", Buckets: 2, Partition: lease.ByKey},
	}
}

// Shards is how many there are of all types.
func Shards(types []Type) (n int) {
	for _, t := range types {
		n += t.Buckets
	}
	return n
}

// Family is the name of the type's family of shards.
func (t Type) Family() string { return t.GroupResource().String() }

// All are the type's buckets.
func (t Type) All() []lease.Bucket {
	all := make([]lease.Bucket, t.Buckets)
	for i := range all {
		all[i] = lease.Bucket{Index: i, Of: t.Buckets, By: t.Partition}
	}
	return all
}

// In tells whether an object of the type is in a bucket of it.
func (t Type) In(b lease.Bucket, object *unstructured.Unstructured) bool {
	return b.Contains(t.Partition.Position(object.GetUID(), object.GetNamespace(), object.GetName()))
}

// APIVersion is that of the type's objects.
func (t Type) APIVersion() string { return t.GroupVersion().String() }

// Definition makes the API server serve the type.
func (t Type) Definition() *unstructured.Unstructured {
	version := map[string]any{
		"name": t.Version, "served": true, "storage": true,
		"schema": map[string]any{"openAPIV3Schema": map[string]any{
			"type": "object", "x-kubernetes-preserve-unknown-fields": true,
		}},
	}
	if t.Status {
		version["subresources"] = map[string]any{"status": map[string]any{}}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": t.Family()},
		"spec": map[string]any{
			"group":    t.Group,
			"scope":    "Namespaced",
			"names":    map[string]any{"kind": t.Kind, "plural": t.Resource, "singular": strings.ToLower(t.Kind)},
			"versions": []any{version},
		},
	}}
}

// OwnerOf is the name of the object that a child belongs to, if that is of this type.
func (t Type) OwnerOf(child interface {
	GetOwnerReferences() []metav1.OwnerReference
},
) (name string, ok bool) {
	owners := child.GetOwnerReferences()
	i := slices.IndexFunc(owners, func(owner metav1.OwnerReference) bool {
		return owner.Kind == t.Kind && owner.APIVersion == t.APIVersion()
	})
	if i < 0 {
		return "", false
	}
	return owners[i].Name, true
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"
)

// slim returns what is done to every object before it is cached: managedFields
// go, then the user's own transform follows. It cannot fail: client-go drops an
// object whose transform fails, and nobody would reconcile that object.
func slim(more func(*unstructured.Unstructured)) cache.TransformFunc {
	return func(obj any) (any, error) {
		u, ok := obj.(*unstructured.Unstructured)
		if !ok {
			return obj, nil
		}
		unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
		if more != nil {
			more(u)
		}
		return u, nil
	}
}

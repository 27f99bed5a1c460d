// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"fmt"

	"k8s.io/client-go/tools/cache"
)

// controllerUIDIndex finds the objects that have a given controller.
const controllerUIDIndex = "controllerUID"

func indexers() cache.Indexers {
	return cache.Indexers{
		cache.NamespaceIndex: cache.MetaNamespaceIndexFunc,
		controllerUIDIndex:   controllerUID,
	}
}

// controllerUID returns the UID of the one owner with controller=true. Other
// owners only matter to garbage collection.
func controllerUID(obj any) ([]string, error) {
	object, ok := obj.(*Object)
	if !ok {
		return nil, fmt.Errorf("index by controller: %T is not an object of a type", obj)
	}
	controller := object.Controller()
	if controller == nil || controller.UID == "" {
		return nil, nil
	}
	return []string{string(controller.UID)}, nil
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// defaultPrefix is where an API server keeps everything.
const defaultPrefix = "/registry/"

// oddPlaces are those built-in types whose place in etcd is not the name of the resource.
var oddPlaces = map[string]string{
	"services/specs":     "services",
	"services/endpoints": "endpoints",
	"minions":            "nodes",
	"controllers":        "replicationcontrollers",
	"ingress":            "ingresses",
}

// parseKey reads a key of etcd: <resource>/<namespace>/<name> of built-in types, with <group>/ before it of all others. The group
// of a built-in type other than Leases is not in it; the value has it. Keys of anything but objects are not ok.
func parseKey(prefix, key string) (k Key, ok bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return Key{}, false
	}
	for place, resource := range oddPlaces {
		if within, ok := strings.CutPrefix(rest, place+"/"); ok {
			rest = resource + "/" + within
			break
		}
	}
	parts := strings.Split(rest, "/")
	if strings.Contains(parts[0], ".") {
		k.Resource.Group, parts = parts[0], parts[1:]
	}
	switch len(parts) {
	case 2:
		k.Name = parts[1]
	case 3:
		k.Namespace, k.Name = parts[1], parts[2]
	default:
		return Key{}, false
	}
	k.Resource.Resource = parts[0]
	if k.Resource == (schema.GroupResource{Resource: "leases"}) {
		k.Resource.Group = coordinationv1.GroupName
	}
	return k, k.Resource.Resource != "" && k.Name != ""
}

// InNamespaces is a filter for what is in these namespaces.
func InNamespaces(namespaces ...string) func(Key) bool {
	wanted := map[string]bool{}
	for _, n := range namespaces {
		wanted[n] = true
	}
	return func(k Key) bool { return k.Namespace != "" && wanted[k.Namespace] }
}

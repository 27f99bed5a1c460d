// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"fmt"
	"maps"
)

// mergeKeys are the fields that may tell the items of a list of objects apart, the ones that say most
// first: those of metacontroller's convention, and mountPath, because a volume may be mounted twice.
var mergeKeys = []string{"containerPort", "port", "mountPath", "name", "uid", "ip", "path"}

// merge returns observed with the changes that lead from last to desired. It changes none of them; the
// result shares values with observed and desired.
func merge(observed, last, desired any) any {
	switch desired := desired.(type) {
	case map[string]any:
		if observed, ok := observed.(map[string]any); ok {
			last, _ := last.(map[string]any)
			return mergeObjects(observed, last, desired)
		}
	case []any:
		if observed, ok := observed.([]any); ok {
			last, _ := last.([]any)
			return mergeLists(observed, last, desired)
		}
	}
	return desired
}

func mergeObjects(observed, last, desired map[string]any) map[string]any {
	out := maps.Clone(observed)
	for name := range last {
		if _, still := desired[name]; !still {
			delete(out, name)
		}
	}
	for name, value := range desired {
		out[name] = merge(observed[name], last[name], value)
	}
	return out
}

// mergeLists merges lists of objects that a merge key tells apart as if they were objects by that key; any
// other list is replaced as a whole. The items that the hook wants come in the hook's order, for in some
// lists it matters (env); the items of others keep their places among them.
func mergeLists(observed, last, desired []any) []any {
	key := mergeKey(observed, last, desired)
	if key == "" {
		return desired
	}
	lastBy, desiredBy, observedBy := byKey(last, key), byKey(desired, key), byKey(observed, key)
	out := make([]any, 0, len(observed)+len(desired))
	rest := desired
	take := func() {
		id := keyOf(rest[0], key)
		out = append(out, merge(observedBy[id], lastBy[id], rest[0]))
		rest = rest[1:]
	}
	for _, item := range observed {
		id := keyOf(item, key)
		if _, wanted := desiredBy[id]; wanted {
			take() // each wanted item here has its counterpart in rest, though not always its own
		} else if _, dropped := lastBy[id]; !dropped {
			out = append(out, item)
		}
	}
	for len(rest) > 0 {
		take()
	}
	return out
}

// mergeKey returns the first of mergeKeys that every item of every list has and that no two items of one
// list share, or "" if there is none.
func mergeKey(lists ...[]any) string {
	items := 0
	for _, list := range lists {
		items += len(list)
	}
	if items == 0 {
		return ""
	}
	for _, key := range mergeKeys {
		if tellsApart(key, lists) {
			return key
		}
	}
	return ""
}

func tellsApart(key string, lists [][]any) bool {
	for _, list := range lists {
		seen := make(map[string]bool, len(list))
		for _, item := range list {
			object, ok := item.(map[string]any)
			if !ok || object[key] == nil {
				return false
			}
			id := keyOf(item, key)
			if seen[id] {
				return false
			}
			seen[id] = true
		}
	}
	return true
}

func byKey(list []any, key string) map[string]any {
	out := make(map[string]any, len(list))
	for _, item := range list {
		out[keyOf(item, key)] = item
	}
	return out
}

// keyOf returns the value of an item's merge key, which may be a number, as text.
func keyOf(item any, key string) string {
	object, _ := item.(map[string]any)
	return fmt.Sprint(object[key])
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// systemFields of metadata belong to the API server. What a hook says of them is left out.
var systemFields = []string{
	"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields",
	"resourceVersion", "selfLink", "uid",
}

// apply changes observed in the manner of kubectl apply: fields that the hook wants are set, fields that it
// wanted last time and no longer wants are removed, all others are left alone. It tells whether anything
// changes. Neither argument is changed; next shares values with both.
//
// This is metacontroller's apply, described in its docs/src/api/apply.md, with what was wanted last in an
// annotation of its name.
func apply(observed, desired map[string]any) (next map[string]any, changed bool, err error) {
	last, err := lastApplied(observed)
	if err != nil {
		return nil, false, err
	}
	next = mergeObjects(observed, last, desired)

	was, _ := observed["metadata"].(map[string]any)
	metadata := childOf(next, "metadata")
	for _, name := range append([]string{"name", "namespace"}, systemFields...) {
		restore(metadata, was, name)
	}
	restore(next, observed, "status") // belongs to the attachment's own controller
	if own := controllerIn(was["ownerReferences"]); own != nil {
		refs, _ := metadata["ownerReferences"].([]any)
		metadata["ownerReferences"] = withOwner(refs, own)
	}
	if !reflect.DeepEqual(last, desired) {
		if err := setLastApplied(next, desired); err != nil {
			return nil, false, err
		}
	}
	return next, !reflect.DeepEqual(canonical(observed), canonical(next)), nil
}

// lastApplied returns what the hook wanted when object was written last, nil if that is not known.
func lastApplied(object map[string]any) (map[string]any, error) {
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	text, _ := annotations[lastAppliedAnnotation].(string)
	if text == "" {
		return nil, nil
	}
	var last map[string]any
	if err := utiljson.Unmarshal([]byte(text), &last); err != nil {
		return nil, fmt.Errorf("annotation %s is not the JSON object that was written there, remove it: %w", lastAppliedAnnotation, err)
	}
	last, _ = canonical(last).(map[string]any)
	strip(last)
	return last, nil
}

// setLastApplied notes in object what the hook wants.
func setLastApplied(object, desired map[string]any) error {
	text, err := json.Marshal(desired)
	if err != nil {
		return fmt.Errorf("encoding annotation %s: %w", lastAppliedAnnotation, err)
	}
	annotationsOf(object)[lastAppliedAnnotation] = string(text)
	return nil
}

// strip removes from what a hook wants what is not the hook's to want. A hook that sends back what it got
// would otherwise have the last-applied annotation contain itself, and grow with each sync.
func strip(object map[string]any) {
	metadata, _ := object["metadata"].(map[string]any)
	for _, name := range systemFields {
		delete(metadata, name)
	}
	annotations, _ := metadata["annotations"].(map[string]any)
	delete(annotations, lastAppliedAnnotation)
}

// restore gives to[name] the value of from[name], or removes it if from has none.
func restore(to, from map[string]any, name string) {
	if value, ok := from[name]; ok {
		to[name] = value
	} else {
		delete(to, name)
	}
}

// childOf returns a copy of object[name], which it puts in its place: the original may be shared.
func childOf(object map[string]any, name string) map[string]any {
	old, _ := object[name].(map[string]any)
	child := make(map[string]any, len(old)+1)
	maps.Copy(child, old)
	object[name] = child
	return child
}

func annotationsOf(object map[string]any) map[string]any {
	return childOf(childOf(object, "metadata"), "annotations")
}

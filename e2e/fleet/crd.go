// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"fmt"
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
)

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

const (
	crdPoll    = 50 * time.Millisecond
	crdTimeout = 30 * time.Second
)

// InstallCRDs creates CustomResourceDefinitions and returns when their types are served.
func (f *Fleet) InstallCRDs(ctx context.Context, crds ...*unstructured.Unstructured) error {
	for _, crd := range crds {
		labelled := crd.DeepCopy()
		labels := labelled.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, f.labels())
		labelled.SetLabels(labels)
		if _, err := f.dynamic.Resource(crdResource).Create(ctx, labelled, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	for _, crd := range crds {
		if err := f.awaitEstablished(ctx, crd.GetName()); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) awaitEstablished(ctx context.Context, name string) error {
	var conditions []any
	err := wait.PollUntilContextTimeout(ctx, crdPoll, crdTimeout, true, func(ctx context.Context) (bool, error) {
		crd, err := f.dynamic.Resource(crdResource).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		// At first they are null, which to NestedSlice is an error and here just no conditions.
		conditions, _, _ = unstructured.NestedSlice(crd.Object, "status", "conditions")
		return established(conditions), nil
	})
	if err != nil {
		return fmt.Errorf("wait until CRD %s is established (its conditions: %v): %w", name, conditions, err)
	}
	return nil
}

func established(conditions []any) bool {
	for _, condition := range conditions {
		if c, ok := condition.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
			return true
		}
	}
	return false
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/shardctl/shardctl/e2e/faults/workload"
	"github.com/shardctl/shardctl/e2e/oracle"
)

// momentLimit is how long the right moment for a fault is waited for. Then any moment has to do.
const momentLimit = 5 * time.Second

// awaitMiddle waits until a replica is in the middle of a reconcile of some object of the type: it has written its mark, and is
// about to write more. A fault at that moment finds it with a write that it will send whatever has happened meanwhile.
func (g *group) awaitMiddle(ctx context.Context, r *replica, t workload.Type) error {
	ctx, cancel := context.WithTimeout(ctx, momentLimit)
	defer cancel()
	watcher, err := g.load.objects(t).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("watch %s: %w", t.Resource, err)
	}
	defer watcher.Stop()
	for {
		select {
		case event, ok := <-watcher.ResultChan():
			if !ok {
				return nil
			}
			object, ok := event.Object.(*unstructured.Unstructured)
			if ok && event.Type == watch.Modified && isBetween(object, r) {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// isBetween tells whether the last to write the object was the replica, and that its status is yet to come.
func isBetween(object *unstructured.Unstructured, r *replica) bool {
	observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observed")
	return object.GetAnnotations()[oracle.AnnotationWriter] == string(r.UID()) && observed != workload.Value(object)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

const (
	createWorkers = 8
	// changeInterval is the time between two changes: fast enough for a few hundred while a holder is being replaced, slow
	// enough to leave a small machine to the replicas.
	changeInterval = 10 * time.Millisecond

	reconcilePoll    = 200 * time.Millisecond
	reconcileTimeout = 60 * time.Second
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// objects are those that the replicas reconcile.
type objects struct {
	client    *dynamic.DynamicClient
	namespace string
	types     []exampleType
	ofType    int // how many there are of each type
	changes   atomic.Int64
}

func newObjects(config *rest.Config, namespace string, e *example) (*objects, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of the objects: %w", err)
	}
	return &objects{client: client, namespace: namespace, types: e.types}, nil
}

func objectName(i int) string { return fmt.Sprintf("example-%03d", i) }

// create makes so many objects of each type, like the example's.
func (o *objects) create(ctx context.Context, ofType int) error {
	o.ofType = ofType
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(createWorkers)
	for _, t := range o.types {
		for i := range ofType {
			group.Go(func() error {
				object := t.sample.DeepCopy()
				object.SetName(objectName(i))
				_, err := o.client.Resource(t.resource).Namespace(o.namespace).Create(ctx, object, metav1.CreateOptions{})
				return err
			})
		}
	}
	return group.Wait()
}

// changing changes one object after another, of all types in turn, while the work goes on.
func (o *objects) changing(ctx context.Context, work func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	group.Go(func() error {
		defer close(done)
		return work(ctx)
	})
	group.Go(func() error {
		tick := time.NewTicker(changeInterval)
		defer tick.Stop()
		for {
			if err := o.change(ctx); err != nil {
				return err
			}
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	})
	return group.Wait()
}

// change gives the next object another size.
func (o *objects) change(ctx context.Context) error {
	n := int(o.changes.Load())
	t, name := o.types[n%len(o.types)], objectName(n/len(o.types)%o.ofType)
	patch := fmt.Appendf(nil, `{"spec":{"size":%d}}`, n+100)
	_, err := o.client.Resource(t.resource).Namespace(o.namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("change %s %s: %w", t.kind, name, err)
	}
	o.changes.Add(1)
	return nil
}

// awaitReconciled waits until every object's status is of its last generation, and what is attached to it fits that status.
func (o *objects) awaitReconciled(ctx context.Context) error {
	var missing error
	err := wait.PollUntilContextTimeout(ctx, reconcilePoll, reconcileTimeout, true, func(ctx context.Context) (bool, error) {
		found := o.unreconciled(ctx)
		if ctx.Err() == nil { // else that is all that it says
			missing = found
		}
		return found == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waited %v for all objects to be reconciled at their last generation: %w", reconcileTimeout, errors.Join(missing, err))
	}
	return nil
}

// unreconciled returns an error that says how many objects are not reconciled; nil if all are.
func (o *objects) unreconciled(ctx context.Context) error {
	attached, err := o.labelsAttached(ctx)
	if err != nil {
		return err
	}
	for _, t := range o.types {
		list, err := o.list(ctx, t.resource)
		if err != nil {
			return err
		}
		if len(list) != o.ofType {
			return fmt.Errorf("there are %d %s, not %d", len(list), t.resource.Resource, o.ofType)
		}
		count, last := 0, ""
		for _, object := range list {
			if problem := problemOf(&object, attached); problem != "" {
				count++
				last = object.GetName() + ": " + problem
			}
		}
		if count > 0 {
			return fmt.Errorf("%d of %d %s are not reconciled, such as %s", count, o.ofType, t.resource.Resource, last)
		}
	}
	return nil
}

// labelsAttached returns what the ConfigMaps hold, by their names.
func (o *objects) labelsAttached(ctx context.Context) (map[string]string, error) {
	list, err := o.list(ctx, configMaps)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{}
	for _, configMap := range list {
		labels[configMap.GetName()], _, _ = unstructured.NestedString(configMap.Object, "data", "label")
	}
	return labels, nil
}

// list asks for what was last written, not for what some cache has.
func (o *objects) list(ctx context.Context, resource schema.GroupVersionResource) ([]unstructured.Unstructured, error) {
	list, err := o.client.Resource(resource).Namespace(o.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", resource.Resource, err)
	}
	return list.Items, nil
}

// problemOf says what is not as the example's hook wants it; nothing if all is.
func problemOf(object *unstructured.Unstructured, attached map[string]string) string {
	observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	label, _, _ := unstructured.NestedString(object.Object, "status", "label")
	configMap := strings.ToLower(object.GetKind()) + "-" + object.GetName()
	switch {
	case observed != object.GetGeneration():
		return fmt.Sprintf("its generation is %d, its status is of %d", object.GetGeneration(), observed)
	case attached[configMap] != label:
		return fmt.Sprintf("its label is %q, its ConfigMap %s says %q", label, configMap, attached[configMap])
	default:
		return ""
	}
}

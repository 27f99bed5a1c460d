// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	// itemsNamespace is also the name of the group that they were installed with, which has no replica.
	itemsNamespace = "items"
	manyItems      = 10_000
	fewItems       = 200 // in a hurry
	// createdAtOnce is how many requests are under way while the items are made.
	createdAtOnce = 16
)

// Items are what is reconciled, triggers what has all of them reconciled at once. They are types of their own, so that nobody
// else cares about them but the garbage collector.
var (
	itemKind         = schema.GroupVersionKind{Group: "items.bench.shardctl.dev", Version: "v1", Kind: "Item"}
	triggerKind      = schema.GroupVersionKind{Group: itemKind.Group, Version: itemKind.Version, Kind: "Trigger"}
	itemsResource    = schema.GroupVersionResource{Group: itemKind.Group, Version: itemKind.Version, Resource: "items"}
	triggersResource = schema.GroupVersionResource{Group: itemKind.Group, Version: itemKind.Version, Resource: "triggers"}
)

// items is how many there are.
func (b *bench) items() int {
	if b.quick {
		return fewItems
	}
	return manyItems
}

// installItems makes the types and the items, unless another part has done so, and returns a client for them.
func (b *bench) installItems(ctx context.Context) (dynamic.Interface, error) {
	cp, err := b.controlPlane(ctx)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(cp.Config())
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(b.groups, func(g *group) bool { return g.name == itemsNamespace }) {
		return client, nil
	}
	f, err := fleet.New(ctx, fleet.Options{
		Cluster: cp, Binary: "unused", Config: configuration(itemsNamespace, itemsResource, triggersResource), Dir: filepath.Join(b.dir, itemsNamespace),
		CRDs: []*unstructured.Unstructured{definition(itemsResource, itemKind), definition(triggersResource, triggerKind)},
	})
	if err != nil {
		return nil, err
	}
	b.tellf("make %d items", b.items())
	making, ctx := errgroup.WithContext(ctx)
	making.SetLimit(createdAtOnce)
	for i := range b.items() {
		making.Go(func() error {
			_, err := client.Resource(itemsResource).Namespace(itemsNamespace).Create(ctx, object(itemKind, itemName(i)), metav1.CreateOptions{})
			return err
		})
	}
	if err := making.Wait(); err != nil {
		return nil, fmt.Errorf("make items: %w", err)
	}
	b.groups = append(b.groups, &group{fleet: f, name: itemsNamespace})
	return client, nil
}

// touch changes an item or a trigger; what to is has to be new.
func touch(ctx context.Context, client dynamic.Interface, resource schema.GroupVersionResource, name, to string) error {
	patch := fmt.Appendf(nil, `{"spec":{"touched":%q}}`, to)
	_, err := client.Resource(resource).Namespace(itemsNamespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

func object(kind schema.GroupVersionKind, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"touched": "never"}}}
	o.SetGroupVersionKind(kind)
	o.SetName(name)
	return o
}

func definition(resource schema.GroupVersionResource, kind schema.GroupVersionKind) *unstructured.Unstructured {
	d := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"group": kind.Group,
		"scope": "Namespaced",
		"names": map[string]any{"kind": kind.Kind, "plural": resource.Resource, "singular": strings.ToLower(kind.Kind)},
		"versions": []any{map[string]any{
			"name": kind.Version, "served": true, "storage": true,
			"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{
				"spec": map[string]any{"type": "object", "properties": map[string]any{"touched": map[string]any{"type": "string"}}},
			}}},
		}},
	}}}
	d.SetAPIVersion("apiextensions.k8s.io/v1")
	d.SetKind("CustomResourceDefinition")
	d.SetName(resource.GroupResource().String())
	return d
}

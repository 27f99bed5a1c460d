// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// resourceType is a namespaced type with a status subresource that one test has to itself.
type resourceType struct {
	schema.GroupVersionResource
	kind string
}

// shard is the name of the type's shard.
func (r resourceType) shard() string { return r.GroupResource().String() }

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// resourceType names a type of the cluster's own: widgets, of kind Widget.
func (c *cluster) resourceType(plural string) resourceType {
	singular := strings.TrimSuffix(plural, "s")
	return resourceType{
		GroupVersionResource: schema.GroupVersionResource{Group: c.apiGroup, Version: "v1", Resource: plural},
		kind:                 strings.ToUpper(singular[:1]) + singular[1:],
	}
}

// createTypes makes the API server serve types, and waits until it does.
func (c *cluster) createTypes(t *testing.T, plurals ...string) []resourceType {
	t.Helper()
	created := make([]resourceType, len(plurals))
	for i, plural := range plurals {
		created[i] = c.resourceType(plural)
		if _, err := c.dynamic.Resource(crds).Create(t.Context(), created[i].definition(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range created {
		eventually(t, r.shard()+" is served", func() error {
			_, err := c.dynamic.Resource(r.GroupVersionResource).Namespace(c.namespace).List(t.Context(), metav1.ListOptions{Limit: 1})
			return err
		})
	}
	return created
}

// deleteType makes the API server serve a type no longer, and waits until all of it is gone.
func (c *cluster) deleteType(t *testing.T, r resourceType) {
	t.Helper()
	if err := c.dynamic.Resource(crds).Delete(t.Context(), r.shard(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the definition of "+r.shard()+" is gone", func() error {
		_, err := c.dynamic.Resource(crds).Get(t.Context(), r.shard(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("it is still there"), err)
	})
}

func (r resourceType) definition() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": r.shard()},
		"spec": map[string]any{
			"group": r.Group,
			"scope": "Namespaced",
			"names": map[string]any{"kind": r.kind, "plural": r.Resource, "singular": strings.ToLower(r.kind)},
			"versions": []any{map[string]any{
				"name": r.Version, "served": true, "storage": true,
				"subresources": map[string]any{"status": map[string]any{}},
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "x-kubernetes-preserve-unknown-fields": true,
				}},
			}},
		},
	}}
}

// objects are all objects of a type in the cluster's namespace, as a watch shows them.
type objects struct {
	resourceType
	cluster *cluster
	cache   cache.GenericLister
	stop    func() // ends the watch; for types that are deleted while the test goes on
}

// watch starts to watch the objects of a type that is served.
func (c *cluster) watch(t *testing.T, r resourceType) *objects {
	t.Helper()
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(c.dynamic, 0, c.namespace, nil)
	informer := factory.ForResource(r.GroupVersionResource)
	informer.Informer() // makes it, so that Start has something to start
	ctx, cancel := context.WithCancel(t.Context())
	stop := func() {
		cancel()
		factory.Shutdown()
	}
	t.Cleanup(stop)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return &objects{resourceType: r, cluster: c, cache: informer.Lister(), stop: stop}
}

// watchAll watches several types.
func (c *cluster) watchAll(t *testing.T, types []resourceType) []*objects {
	t.Helper()
	all := make([]*objects, len(types))
	for i, r := range types {
		all[i] = c.watch(t, r)
	}
	return all
}

func (o *objects) client() dynamic.ResourceInterface {
	return o.cluster.dynamic.Resource(o.GroupVersionResource).Namespace(o.cluster.namespace)
}

// maxWriters bounds the requests that a test sends at a time.
const maxWriters = 8

// create makes n objects, named 0 to n-1.
func (o *objects) create(t *testing.T, n int) {
	t.Helper()
	o.forAll(t, n, func(ctx context.Context, name string) error {
		object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"size": int64(0)}}}
		object.SetAPIVersion(o.GroupVersion().String())
		object.SetKind(o.kind)
		object.SetName(name)
		_, err := o.client().Create(ctx, object, metav1.CreateOptions{})
		return err
	})
}

// resize changes the spec of n objects.
func (o *objects) resize(t *testing.T, n int, size int) {
	t.Helper()
	o.forAll(t, n, func(ctx context.Context, name string) error { return o.resizeOne(ctx, name, size) })
}

// mergePatch spares those who have a variable called types its package.
const mergePatch = types.MergePatchType

func (o *objects) resizeOne(ctx context.Context, name string, size int) error {
	patch := fmt.Appendf(nil, `{"spec":{"size":%d}}`, size)
	_, err := o.client().Patch(ctx, name, mergePatch, patch, metav1.PatchOptions{})
	return err
}

func (o *objects) forAll(t *testing.T, n int, do func(context.Context, string) error) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(maxWriters)
	for i := range n {
		g.Go(func() error { return do(ctx, fmt.Sprint(i)) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// list returns the objects as the watch has shown them.
func (o *objects) list(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	listed, err := o.cache.List(labels.Everything())
	if err != nil {
		t.Fatal(err)
	}
	all := make([]*unstructured.Unstructured, len(listed))
	for i, object := range listed {
		all[i] = object.(*unstructured.Unstructured)
	}
	return all
}

// awaitReconciled waits until n objects are there and each has been reconciled as it is now.
func (o *objects) awaitReconciled(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("all %d objects of %s are reconciled", n, o.shard()), func() error {
		if err := reconciled(o.list(t), n); err != nil {
			return err
		}
		// The watch may be behind. Asked last, because that costs more.
		list, err := o.client().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		var all []*unstructured.Unstructured
		for i := range list.Items {
			all = append(all, &list.Items[i])
		}
		return reconciled(all, n)
	})
}

func reconciled(all []*unstructured.Unstructured, n int) error {
	var behind []string
	for _, object := range all {
		if !isReconciled(object) {
			behind = append(behind, object.GetName())
		}
	}
	if len(all) != n || len(behind) > 0 {
		return fmt.Errorf("%d objects are there, %d of them are not reconciled, such as %q", len(all), len(behind), behind[:min(5, len(behind))])
	}
	return nil
}

// statusFor is the status that the hooks of this suite give an object: what they saw of it.
func statusFor(object *unstructured.Unstructured) map[string]any {
	return map[string]any{"size": sizeOf(object), "observedGeneration": object.GetGeneration()}
}

func sizeOf(object *unstructured.Unstructured) int64 {
	size, _, _ := unstructured.NestedInt64(object.Object, "spec", "size")
	return size
}

// isReconciled tells whether the status is what a hook would say of the object as it is now.
func isReconciled(object *unstructured.Unstructured) bool {
	status, _, _ := unstructured.NestedMap(object.Object, "status")
	return reflect.DeepEqual(status, statusFor(object))
}

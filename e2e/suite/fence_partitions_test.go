// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

var (
	configMaps   = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	roles        = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}
	clusterRoles = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
)

// Of every object, exactly the holder of its bucket may write it: the API server computes the same bucket as the replicas.
func TestFencePartitionsAreExact(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long.", 50)
	names := []string{"0", "a.b", "node-1.example.com", long + "xyz"}
	for i := range 10 {
		names = append(names, fmt.Sprintf("object-%d", i))
	}
	// Types whose names are path segments allow nearly everything.
	odd := append(slices.Clone(names), "system:Node", "UPPER_case", "über", "a~b!c", "日本", strings.Repeat("very-long-", 40))
	for _, tc := range []struct {
		gvr   schema.GroupVersionResource
		kind  string
		scope string
		names []string
	}{
		{configMaps, "ConfigMap", lease.ScopeNamespaced, names},
		{roles, "Role", lease.ScopeNamespaced, odd},
		{clusterRoles, "ClusterRole", lease.ScopeCluster, odd},
	} {
		for _, partition := range lease.Partitions() {
			for _, buckets := range []int{1, 3, 7, 256} {
				if buckets == 1 && partition != lease.ByUID || buckets == 256 && tc.gvr != configMaps {
					continue // in one piece there is no partition; and many buckets take long
				}
				t.Run(fmt.Sprintf("%s in %d by %s", tc.gvr.Resource, buckets, partition), func(t *testing.T) {
					f := newFenced(t, 3)
					d := division{family: tc.gvr.GroupResource(), kind: tc.kind, scope: tc.scope, buckets: buckets, partition: partition}
					f.hold(t, d)
					f.fence(t, fence.Type{Resource: d.family})
					f.checkEach(t, d, f.createAll(t, tc.gvr, tc.scope, tc.names))
				})
			}
		}
	}
}

// createAll makes objects of a type, by the administrator: in two namespaces if the type has any. Where names are shared with
// other tests, they begin with the group's namespace, unless they get too long.
func (f *fenced) createAll(t *testing.T, gvr schema.GroupVersionResource, scope string, names []string) []*unstructured.Unstructured {
	t.Helper()
	namespaces := []string{f.namespace, "default"}
	if scope == lease.ScopeCluster {
		namespaces = []string{""}
	}
	var all []*unstructured.Unstructured
	for _, namespace := range namespaces {
		for _, name := range names {
			if namespace != f.namespace {
				name = f.namespace + "." + name
			}
			if namespace == "default" && len(name) > validation.DNS1123SubdomainMaxLength {
				continue
			}
			object := &unstructured.Unstructured{Object: map[string]any{}}
			object.SetGroupVersionKind(gvr.GroupVersion().WithKind(kindOf[gvr]))
			object.SetName(name)
			client := in(f.dynamic, gvr, namespace)
			created, err := client.Create(t.Context(), object, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
			all = append(all, created)
		}
	}
	return all
}

var kindOf = map[schema.GroupVersionResource]string{configMaps: "ConfigMap", roles: "Role", clusterRoles: "ClusterRole"}

// checkEach has every Pod write every object.
func (f *fenced) checkEach(t *testing.T, d division, objects []*unstructured.Unstructured) {
	t.Helper()
	gvr := schema.GroupVersionResource{Group: d.family.Group, Version: "v1", Resource: d.family.Resource}
	stranger := f.newPod(t, "stranger")
	awaitRefused(t, func() error {
		return touch(t.Context(), in(as(stranger), gvr, objects[0].GetNamespace()), objects[0].GetName())
	})
	buckets := map[string]bool{}
	for _, o := range objects {
		buckets[d.bucket(o).String()] = true
	}
	t.Logf("%d objects are in %d of %d buckets", len(objects), len(buckets), d.buckets)
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(maxWriters)
	for _, pod := range f.pods {
		client := as(pod)
		for _, o := range objects {
			g.Go(func() error {
				b := d.bucket(o)
				err := touch(ctx, in(client, gvr, o.GetNamespace()), o.GetName())
				if problem := verdict(err, pod != f.holder(b)); problem != nil {
					t.Errorf("pod %s writes %s/%s, UID %s, in bucket %s, held by %s: %v", pod.Name, o.GetNamespace(), o.GetName(), o.GetUID(), b, f.holder(b).Name, problem)
				}
				return nil
			})
		}
	}
	_ = g.Wait() // nothing fails but the test
}

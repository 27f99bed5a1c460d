// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

func labelled(key, value string) func(*unstructured.Unstructured) {
	return func(u *unstructured.Unstructured) { u.SetLabels(map[string]string{key: value}) }
}

func owned(controller *bool, uids ...types.UID) func(*unstructured.Unstructured) {
	return func(u *unstructured.Unstructured) {
		owners := u.GetOwnerReferences()
		for _, uid := range uids {
			owners = append(owners, metav1.OwnerReference{APIVersion: "v1", Kind: "Owner", Name: string(uid), UID: uid, Controller: controller})
		}
		u.SetOwnerReferences(owners)
	}
}

func names(objects []*Object) []string {
	var found []string
	for _, u := range objects {
		name, err := cache.ObjectToName(u)
		if err != nil {
			panic(err)
		}
		found = append(found, name.String())
	}
	slices.Sort(found)
	return found
}

func TestReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets, zones)
		api.create(t, widgets,
			object(widgets, "one", "a", labelled("app", "x"), owned(ptr.To(true), "u1")),
			object(widgets, "one", "b", labelled("app", "y"), owned(nil, "u1"), owned(ptr.To(true), "u2")),
			object(widgets, "two", "a", labelled("app", "x"), owned(ptr.To(true), "u1")),
		)
		api.create(t, zones, object(zones, "", "north"))
		set := newSet(t, api, Options{})
		informer, cluster := set.Watch(widgets), set.Watch(zones)
		start(t, t.Context(), set)
		within(t, time.Second, informer)
		within(t, time.Second, cluster)

		app := labels.SelectorFromSet(labels.Set{"app": "x"})
		tests := []struct {
			name string
			got  []*Object
			want []string
		}{
			{"all", informer.List("", nil), []string{"one/a", "one/b", "two/a"}},
			{"everything", informer.List("", labels.Everything()), []string{"one/a", "one/b", "two/a"}},
			{"nothing", informer.List("", labels.Nothing()), nil},
			{"namespace", informer.List("one", nil), []string{"one/a", "one/b"}},
			{"no such namespace", informer.List("three", nil), nil},
			{"labels", informer.List("", app), []string{"one/a", "two/a"}},
			{"labels in a namespace", informer.List("one", app), []string{"one/a"}},
			{"controlled", informer.OwnedBy("u1"), []string{"one/a", "two/a"}},
			{"controlled, other owners", informer.OwnedBy("u2"), []string{"one/b"}},
			{"controls nothing", informer.OwnedBy("u3"), nil},
			{"cluster-scoped", cluster.List("", nil), []string{"north"}},
			{"cluster-scoped, in a namespace", cluster.List("one", nil), nil},
		}
		for _, test := range tests {
			if got := names(test.got); !slices.Equal(got, test.want) {
				t.Errorf("%s: %q, want %q", test.name, got, test.want)
			}
		}

		if u, ok := informer.Get("two", "a"); !ok || u.GetNamespace() != "two" || u.GetName() != "a" {
			t.Errorf("Get(two, a) = %v, %v", u, ok)
		}
		if u, ok := cluster.Get("", "north"); !ok || u.GetName() != "north" {
			t.Errorf("Get(north) = %v, %v", u, ok)
		}
		if _, ok := informer.Get("two", "b"); ok {
			t.Error("Get(two, b) found what does not exist")
		}
		keys := informer.Keys()
		slices.SortFunc(keys, func(a, b cache.ObjectName) int { return slices.Compare([]string{a.String()}, []string{b.String()}) })
		want := []cache.ObjectName{{Namespace: "one", Name: "a"}, {Namespace: "one", Name: "b"}, {Namespace: "two", Name: "a"}}
		if !slices.Equal(keys, want) {
			t.Errorf("Keys() = %v, want %v", keys, want)
		}
		if informer.Resource() != widgets {
			t.Errorf("Resource() = %v", informer.Resource())
		}
	})
}

func TestReadsOfMissingType(t *testing.T) {
	informer := newSet(t, newAPIServer(), Options{}).Watch(widgets)
	if _, ok := informer.Get("ns", "a"); ok {
		t.Error("Get found something")
	}
	if len(informer.List("", nil))+len(informer.OwnedBy("u"))+len(informer.Keys()) != 0 {
		t.Error("List, OwnedBy or Keys found something")
	}
	if rv := informer.LastResourceVersion(); rv != "" {
		t.Errorf("LastResourceVersion() = %q", rv)
	}
}

func TestLastResourceVersionIsThatOfTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"))
		set := newSet(t, api, Options{})
		informer := set.Watch(widgets)
		start(t, t.Context(), set)
		within(t, time.Second, informer)

		api.update(t, widgets, object(widgets, "ns", "a", at("7")))
		synctest.Wait()
		if rv := informer.LastResourceVersion(); rv != "7" {
			t.Fatalf("LastResourceVersion() = %q after an event at 7", rv)
		}
		if u, _ := informer.Get("ns", "a"); u.GetResourceVersion() != "7" {
			t.Fatalf("the cache is at %s", u.GetResourceVersion())
		}
	})
}

func TestNamespaceOption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets, zones)
		api.create(t, widgets, object(widgets, "one", "a"), object(widgets, "two", "a"))
		api.create(t, zones, object(zones, "", "north"))
		set := newSet(t, api, Options{Namespace: "two"})
		informer, cluster := set.Watch(widgets), set.Watch(zones)
		start(t, t.Context(), set)
		within(t, time.Second, informer)
		within(t, time.Second, cluster)
		if got := names(informer.List("", nil)); !slices.Equal(got, []string{"two/a"}) {
			t.Errorf("namespaced: %q", got)
		}
		if got := names(cluster.List("", nil)); !slices.Equal(got, []string{"north"}) {
			t.Errorf("cluster-scoped: %q", got)
		}
	})
}

func TestControllerUIDIndex(t *testing.T) {
	tests := []struct {
		name string
		obj  *unstructured.Unstructured
		want []string
	}{
		{"no owner", object(widgets, "ns", "a"), nil},
		{"controller", object(widgets, "ns", "a", owned(ptr.To(true), "u1")), []string{"u1"}},
		{"owner", object(widgets, "ns", "a", owned(nil, "u1")), nil},
		{"explicitly no controller", object(widgets, "ns", "a", owned(ptr.To(false), "u1")), nil},
		{"controller among owners", object(widgets, "ns", "a", owned(nil, "u1"), owned(ptr.To(true), "u2")), []string{"u2"}},
		{"controller without UID", object(widgets, "ns", "a", owned(ptr.To(true), "")), nil},
	}
	for _, test := range tests {
		got, err := controllerUID(cachedObject(test.obj))
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, test.want)
		}
	}
	if _, err := controllerUID("no object"); err == nil {
		t.Error("something without metadata was indexed")
	}
}

func TestTypeName(t *testing.T) {
	for gvr, want := range map[schema.GroupVersionResource]string{
		widgets:                           "example.com/v1 widgets",
		{Version: "v1", Resource: "pods"}: "v1 pods",
	} {
		if got := typeName(gvr); got != want {
			t.Errorf("typeName(%v) = %q, want %q", gvr, got, want)
		}
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/internal/hook"
	"github.com/shardctl/shardctl/pkg/informers"
)

// The types of the tests: stages and zones have no namespace, the others have.
var (
	widgets    = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
	stages     = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "stages"}
	zones      = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "zones"}
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	pods       = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

	kinds = map[schema.GroupVersionResource]string{
		widgets: "Widget", stages: "Stage", zones: "Zone", configMaps: "ConfigMap", pods: "Pod",
	}
)

// document is the decorator of most tests: a widget or stage may have config maps, pods, and zones.
const document = `
apiVersion: metacontroller.k8s.io/v1alpha1
kind: DecoratorController
metadata:
  name: tester
spec:
  resources:
  - apiVersion: example.com/v1
    resource: widgets
    labelSelector:
      matchLabels: {decorate: "yes"}
  - apiVersion: example.com/v1
    resource: stages
  attachments:
  - apiVersion: v1
    resource: configmaps
    updateStrategy: {method: InPlace}
  - apiVersion: v1
    resource: pods
    updateStrategy: {method: Recreate}
  - apiVersion: example.com/v1
    resource: zones
  hooks:
    sync:
      webhook: {url: "http://hook/sync"}
`

// withFinalize is document with a finalize hook.
const withFinalize = document + `
    finalize:
      webhook: {url: "http://hook/finalize"}
`

type fakeCache struct {
	kind       schema.GroupVersionKind
	namespaced bool
	unsynced   bool
	objects    []*unstructured.Unstructured
}

func (c *fakeCache) Kind() (schema.GroupVersionKind, bool) { return c.kind, true }
func (c *fakeCache) Namespaced() bool                      { return c.namespaced }
func (c *fakeCache) Synced() bool                          { return !c.unsynced }

func (c *fakeCache) Get(namespace, name string) (*informers.Object, bool) {
	for _, o := range c.objects {
		if o.GetNamespace() == namespace && o.GetName() == name {
			return cached(o), true
		}
	}
	return nil, false
}

func (c *fakeCache) OwnedBy(uid types.UID) (owned []*informers.Object) {
	for _, o := range c.objects {
		if ref := metav1.GetControllerOf(o); ref != nil && ref.UID == uid {
			owned = append(owned, cached(o))
		}
	}
	return owned
}

// cached is the object as an informer keeps it.
func cached(u *unstructured.Unstructured) *informers.Object {
	o, err := informers.NewObject(u)
	if err != nil {
		panic(fmt.Sprintf("%v: %v", u, err))
	}
	return o
}

// world is a cluster, what a controller's caches show of it, and the controller. The fake client does not
// look at resourceVersions: conflicts are injected.
type world struct {
	*Controller
	client   *dynamicfake.FakeDynamicClient
	caches   map[schema.GroupVersionResource]*fakeCache
	statuses bool // types have the status subresource
	sync     *fakeHook
	finalize *fakeHook
}

// fakeHook answers with a text, or fails.
type fakeHook struct {
	answer   string
	err      error
	during   func() // is called while the hook is at work
	requests []string
}

func (h *fakeHook) Call(_ context.Context, request, answer any) error {
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	h.requests = append(h.requests, string(text))
	if h.during != nil {
		h.during()
	}
	if h.err != nil {
		return h.err
	}
	return hook.Decode([]byte(h.answer), answer)
}

// newWorld makes a world that holds objects, given as YAML, in the cluster and in the caches.
func newWorld(t testing.TB, document string, objects ...string) *world {
	t.Helper()
	w := &world{
		caches:   map[schema.GroupVersionResource]*fakeCache{},
		statuses: true,
		sync:     &fakeHook{answer: "{}"},
		finalize: &fakeHook{answer: "{}"},
	}
	listKinds := map[schema.GroupVersionResource]string{}
	for gvr, kind := range kinds {
		listKinds[gvr] = kind + "List"
		w.caches[gvr] = &fakeCache{kind: gvr.GroupVersion().WithKind(kind), namespaced: gvr != stages && gvr != zones}
	}
	var all []runtime.Object
	for _, text := range objects {
		o := object(t, text)
		w.cacheOf(o).objects = append(w.cacheOf(o).objects, o)
		all = append(all, o.DeepCopy())
	}
	w.client = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds, all...)

	doc, errs := Parse([]byte(document), nil)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	options := Options{
		Document: doc, Client: w.client, Sync: w.sync,
		HasStatus: func(context.Context, schema.GroupVersionResource) (bool, error) { return w.statuses, nil },
		Parents:   map[schema.GroupVersionResource]Cache{}, Attachments: map[schema.GroupVersionResource]Cache{},
	}
	if doc.Spec.Hooks.Finalize != nil {
		options.Finalize = w.finalize
	}
	for gvr, cache := range w.caches {
		options.Parents[gvr], options.Attachments[gvr] = cache, cache
	}
	var err error
	if w.Controller, err = New(options); err != nil {
		t.Fatal(err)
	}
	return w
}

func object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(asJSON); err != nil {
		t.Fatal(err)
	}
	return o
}

func (w *world) cacheOf(o *unstructured.Unstructured) *fakeCache {
	for gvr, kind := range kinds {
		if gvr.GroupVersion().WithKind(kind) == o.GroupVersionKind() {
			return w.caches[gvr]
		}
	}
	panic("no such type: " + o.GroupVersionKind().String())
}

// syncWidget syncs the widget ns/w.
func (w *world) syncWidget(t testing.TB) error {
	t.Helper()
	_, err := w.Sync(t.Context(), widgets, "ns", "w")
	return err
}

// writes lists what was written, in order: "create configmaps ns/a", "update widgets/status ns/w".
func (w *world) writes() []string {
	var out []string
	for _, action := range w.client.Actions() {
		if action.GetVerb() == "get" {
			continue
		}
		resource := action.GetResource().Resource
		if action.GetSubresource() != "" {
			resource += "/" + action.GetSubresource()
		}
		name := action.GetNamespace()
		if name != "" {
			name += "/"
		}
		switch action := action.(type) {
		case clienttesting.CreateAction: // also has the form of an update
			name += action.GetObject().(*unstructured.Unstructured).GetName()
		case clienttesting.DeleteAction:
			name += action.GetName()
		}
		out = append(out, fmt.Sprintf("%s %s %s", action.GetVerb(), resource, name))
	}
	return out
}

func (w *world) wantWrites(t testing.TB, want ...string) {
	t.Helper()
	if got := w.writes(); !slices.Equal(got, want) {
		t.Errorf("wrote\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// get reads an object from the cluster, nil if there is none.
func (w *world) get(t testing.TB, gvr schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	o, err := w.client.Tracker().Get(gvr, namespace, name)
	if err != nil {
		return nil
	}
	return o.(*unstructured.Unstructured)
}

// settle has the caches show what is in the cluster.
func (w *world) settle(t testing.TB) {
	t.Helper()
	for gvr, cache := range w.caches {
		list, err := w.client.Tracker().List(gvr, cache.kind, "")
		if err != nil {
			t.Fatal(err)
		}
		cache.objects = nil
		for _, o := range list.(*unstructured.UnstructuredList).Items {
			cache.objects = append(cache.objects, &o)
		}
	}
	w.client.ClearActions()
}

// fail has the next write with this verb to this resource fail.
func (w *world) fail(verb, resource string, err error) {
	done := false
	w.client.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		if done {
			return false, nil, nil
		}
		done = true
		return true, nil, err
	})
}

const widget = `
apiVersion: example.com/v1
kind: Widget
metadata:
  name: w
  namespace: ns
  uid: widget-uid
  resourceVersion: "5"
  labels: {decorate: "yes"}
`

const stage = `
apiVersion: example.com/v1
kind: Stage
metadata: {name: s, uid: stage-uid, resourceVersion: "5"}
`

// attached returns an object as the controller would have created it for the widget.
func attached(apiVersion, kind, name, rest string) string {
	return fmt.Sprintf(`
apiVersion: %[1]s
kind: %[2]s
metadata:
  name: %[3]s
  namespace: ns
  uid: %[3]s-uid
  annotations:
    metacontroller.k8s.io/decorator-controller: tester
    metacontroller.k8s.io/last-applied-configuration: '{"apiVersion":"%[1]s","kind":"%[2]s","metadata":{"annotations":{"metacontroller.k8s.io/decorator-controller":"tester"},"name":"%[3]s"}}'
  ownerReferences:
  - {apiVersion: example.com/v1, kind: Widget, name: w, uid: widget-uid, controller: true, blockOwnerDeletion: true}
%[4]s`, apiVersion, kind, name, rest)
}

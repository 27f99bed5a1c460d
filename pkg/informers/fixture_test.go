// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	example = schema.GroupVersion{Group: "example.com", Version: "v1"}
	widgets = example.WithResource("widgets")
	gadgets = example.WithResource("gadgets")
	zones   = schema.GroupVersionResource{Group: "other.example.com", Version: "v1", Resource: "zones"}

	apis = map[schema.GroupVersionResource]metav1.APIResource{
		widgets: {Name: "widgets", Kind: "Widget", Namespaced: true, Verbs: metav1.Verbs{"get", "list", "watch"}},
		gadgets: {Name: "gadgets", Kind: "Gadget", Namespaced: true, Verbs: metav1.Verbs{"get", "list", "watch"}},
		zones:   {Name: "zones", Kind: "Zone", Verbs: metav1.Verbs{"get", "list", "watch"}},
	}
)

// apiServer is client-go's dynamic fake with what that one lacks: types that are
// served or not, requests that fail, discovery, and counts.
type apiServer struct {
	*dynamicfake.FakeDynamicClient

	mu        sync.Mutex
	served    map[schema.GroupVersionResource]bool
	discovers map[schema.GroupVersionResource]metav1.APIResource
	refusal   map[schema.GroupVersionResource]error // of lists and watches
	blocked   map[schema.GroupVersionResource]chan struct{}
	outage    error         // of discovery
	slowness  time.Duration // of discovery
	streams   map[schema.GroupVersionResource][]watch.Interface
	requests  map[string]int
}

func newAPIServer(served ...schema.GroupVersionResource) *apiServer {
	listKinds := map[schema.GroupVersionResource]string{}
	for gvr, api := range apis {
		listKinds[gvr] = api.Kind + "List"
	}
	s := &apiServer{
		FakeDynamicClient: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds),
		served:            map[schema.GroupVersionResource]bool{},
		discovers:         map[schema.GroupVersionResource]metav1.APIResource{},
		refusal:           map[schema.GroupVersionResource]error{},
		blocked:           map[schema.GroupVersionResource]chan struct{}{},
		streams:           map[schema.GroupVersionResource][]watch.Interface{},
		requests:          map[string]int{},
	}
	s.PrependReactor("list", "*", s.reactToList)
	s.PrependWatchReactor("*", s.reactToWatch)
	for _, gvr := range served {
		s.serve(gvr)
	}
	return s
}

func (s *apiServer) reactToList(action clienttesting.Action) (bool, runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.admit("list", action.GetResource())
	return err != nil, nil, err
}

func (s *apiServer) reactToWatch(action clienttesting.Action) (bool, watch.Interface, error) {
	gvr := action.GetResource()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit("watch", gvr); err != nil {
		return true, nil, err
	}
	stream, err := s.Tracker().Watch(gvr, action.GetNamespace())
	s.streams[gvr] = append(s.streams[gvr], stream)
	return true, stream, err
}

// Resource implements [dynamic.Interface].
func (s *apiServer) Resource(gvr schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return resourceClient{s.FakeDynamicClient.Resource(gvr), s, gvr}
}

// resourceClient makes lists wait: the fake itself would hold its lock meanwhile.
type resourceClient struct {
	dynamic.NamespaceableResourceInterface
	api *apiServer
	gvr schema.GroupVersionResource
}

func (c resourceClient) List(ctx context.Context, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	c.api.mu.Lock()
	blocked := c.api.blocked[c.gvr]
	c.api.mu.Unlock()
	if blocked != nil {
		<-blocked
	}
	return c.NamespaceableResourceInterface.List(ctx, opts)
}

// admit counts a request and says how it is answered; s.mu is held.
func (s *apiServer) admit(verb string, gvr schema.GroupVersionResource) error {
	s.requests[verb+" "+gvr.Resource]++
	if !s.served[gvr] {
		return apierrors.NewGenericServerResponse(404, verb, gvr.GroupResource(), "", "", 0, true)
	}
	return s.refusal[gvr]
}

// ServerResourcesForGroupVersionWithContext implements [Discovery].
func (s *apiServer) ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error) {
	s.mu.Lock()
	slowness := s.slowness
	s.mu.Unlock()
	sleep(ctx, slowness)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests["discover "+groupVersion]++
	if s.outage != nil {
		return nil, s.outage
	}
	list := &metav1.APIResourceList{GroupVersion: groupVersion}
	for gvr, api := range s.discovers {
		if gvr.GroupVersion().String() == groupVersion {
			list.APIResources = append(list.APIResources, api)
		}
	}
	if len(list.APIResources) == 0 {
		return nil, apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{}, "", "", 0, true)
	}
	return list, nil
}

// serve makes a type be served, as after its CRD was created.
func (s *apiServer) serve(gvr schema.GroupVersionResource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served[gvr] = true
	s.discovers[gvr] = apis[gvr]
}

// withdraw makes a type be gone without a word about its objects, as when a version
// is no longer served. They are still there when it is served again.
func (s *apiServer) withdraw(gvr schema.GroupVersionResource) {
	s.mu.Lock()
	delete(s.discovers, gvr)
	s.mu.Unlock()
	s.lose(gvr)
}

// lose makes lists and watches of a type be answered with 404 while discovery still
// has it.
func (s *apiServer) lose(gvr schema.GroupVersionResource) {
	s.mu.Lock()
	delete(s.served, gvr)
	s.mu.Unlock()
	s.cut(gvr)
}

// refuse makes requests of a type fail (nil: no longer) and ends its watches.
func (s *apiServer) refuse(gvr schema.GroupVersionResource, err error) {
	s.mu.Lock()
	s.refusal[gvr] = err
	s.mu.Unlock()
	s.cut(gvr)
}

// cut ends all watches of a type.
func (s *apiServer) cut(gvr schema.GroupVersionResource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range s.streams[gvr] {
		stream.Stop()
	}
	s.streams[gvr] = nil
}

// block holds lists of a type, in all namespaces, until the returned function is called.
func (s *apiServer) block(gvr schema.GroupVersionResource) (unblock func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	blocked := make(chan struct{})
	s.blocked[gvr] = blocked
	return func() { close(blocked) }
}

// setOutage makes discovery fail (nil: no longer).
func (s *apiServer) setOutage(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = err
}

// setSlowness makes discovery take that long.
func (s *apiServer) setSlowness(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slowness = d
}

// count returns how many requests there were: "list widgets", "discover example.com/v1".
func (s *apiServer) count(request string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[request]
}

func (s *apiServer) create(t *testing.T, gvr schema.GroupVersionResource, objects ...*unstructured.Unstructured) {
	t.Helper()
	for _, object := range objects {
		if err := s.Tracker().Create(gvr, object.DeepCopy(), object.GetNamespace()); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *apiServer) update(t *testing.T, gvr schema.GroupVersionResource, object *unstructured.Unstructured) {
	t.Helper()
	if err := s.Tracker().Update(gvr, object.DeepCopy(), object.GetNamespace()); err != nil {
		t.Fatal(err)
	}
}

func (s *apiServer) delete(t *testing.T, gvr schema.GroupVersionResource, object *unstructured.Unstructured) {
	t.Helper()
	if err := s.Tracker().Delete(gvr, object.GetNamespace(), object.GetName()); err != nil {
		t.Fatal(err)
	}
}

func forbidden(gvr schema.GroupVersionResource) error {
	return apierrors.NewForbidden(gvr.GroupResource(), "", errors.New("no such role"))
}

// object returns one of a type; the namespace is "" for cluster-scoped types.
func object(gvr schema.GroupVersionResource, namespace, name string, change ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(gvr.GroupVersion().WithKind(apis[gvr].Kind))
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetResourceVersion("1")
	for _, c := range change {
		c(u)
	}
	return u
}

// cachedObject is the object as it comes from an API server.
func cachedObject(u *unstructured.Unstructured) *Object {
	o, err := NewObject(u)
	if err != nil {
		panic(fmt.Sprintf("%v: %v", u, err))
	}
	return o
}

func at(resourceVersion string) func(*unstructured.Unstructured) {
	return func(u *unstructured.Unstructured) { u.SetResourceVersion(resourceVersion) }
}

func newSet(t *testing.T, s *apiServer, o Options) *Set {
	t.Helper()
	set, err := New(FromDynamic(s), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// start runs the set until the test ends or stop is called, which waits for Run.
func start(t *testing.T, ctx context.Context, set *Set) (stop func()) { //nolint:revive // the test comes first, as in testing helpers
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- set.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	t.Cleanup(stop)
	synctest.Wait()
	return stop
}

// within fails the test unless the informer is synced after d at most. It then lets the
// watch begin: the fake forgets what happens between a list and its watch.
func within(t *testing.T, d time.Duration, i *Informer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := i.WaitSynced(ctx); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func wantPhase(t *testing.T, i *Informer, want Phase) {
	t.Helper()
	if got := i.State(); got.Phase != want {
		t.Fatalf("State() = %v, want %v", got, want)
	}
}

// recorder is an event handler that writes down what it is told.
type recorder struct {
	mu     sync.Mutex
	events []string
	// before is called before each event is written down, outside the lock.
	before func(event string)
}

func (r *recorder) OnAdd(obj any, _ bool) { r.record("add", obj) }
func (r *recorder) OnUpdate(_, obj any)   { r.record("update", obj) }
func (r *recorder) OnDelete(obj any)      { r.record("delete", obj) }
func (r *recorder) record(verb string, obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		verb, obj = "vanish", tombstone.Obj
	}
	name, err := cache.ObjectToName(obj)
	if err != nil {
		panic(fmt.Sprintf("%s of %#v: %v", verb, obj, err))
	}
	event := verb + " " + name.String()
	if r.before != nil {
		r.before(event)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// take returns the events since the last call, sorted: deliveries of one list come
// in random order.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	slices.Sort(events)
	return events
}

func wantEvents(t *testing.T, r *recorder, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := r.take(); !slices.Equal(got, want) {
		t.Fatalf("events: %q, want %q", got, want)
	}
}

func addHandler(t *testing.T, i *Informer, h cache.ResourceEventHandler) (remove func()) {
	t.Helper()
	remove, err := i.AddHandler(h)
	if err != nil {
		t.Fatal(err)
	}
	return remove
}

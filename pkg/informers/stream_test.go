// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// forgetful is an API server with one type. Unlike the fake of client-go it has
// resourceVersions, and when it is restarted it does not remember what was before.
type forgetful struct {
	mu      sync.Mutex
	objects map[string]*Object
	version int
	memory  int // the resourceVersion from which on it remembers
	stream  *watch.FakeWatcher
	refusal error // of lists
	short   bool  // every watch ends at once
	lists   int
	watches int
	options metav1.ListOptions // of the last list
}

func newForgetful() *forgetful {
	return &forgetful{objects: map[string]*Object{}, version: 1, memory: 1}
}

// IsWatchListSemanticsUnSupported tells client-go not to stream lists.
func (f *forgetful) IsWatchListSemanticsUnSupported() bool { return true }

func (f *forgetful) source() *source {
	return &source{list: f.list, watch: f.watch, report: func(string, error) {}}
}

func (f *forgetful) list(_ context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists++
	f.options = opts
	if f.refusal != nil {
		return nil, f.refusal
	}
	list := &List{}
	list.SetResourceVersion(strconv.Itoa(f.version))
	for _, object := range f.objects {
		list.Items = append(list.Items, object.DeepCopyObject().(*Object))
	}
	return list, nil
}

func (f *forgetful) watch(_ context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watches++
	f.stream = watch.NewFakeWithChanSize(100, false)
	if f.short {
		f.stream.Stop()
	} else if from, err := strconv.Atoi(opts.ResourceVersion); err != nil || from < f.memory {
		expired := apierrors.NewResourceExpired("too old resource version").Status()
		f.stream.Error(&expired)
	}
	return f.stream, nil
}

// change has the API server changed while it answers nobody.
func (f *forgetful) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

// put changes an object, unseen if nothing watches; f.mu is held.
func (f *forgetful) put(name, uid string) {
	f.version++
	object := cachedObject(object(widgets, "ns", name, at(strconv.Itoa(f.version)), func(u *unstructured.Unstructured) { u.SetUID(types.UID(uid)) }))
	old := f.objects[name]
	f.objects[name] = object
	switch {
	case f.stream == nil:
	case old == nil:
		f.stream.Add(object.DeepCopyObject())
	default:
		f.stream.Modify(object.DeepCopyObject())
	}
}

// restart ends the watch. What happens while it is down is not remembered.
func (f *forgetful) restart(meanwhile func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stream.Stop()
	f.stream = nil
	meanwhile()
	f.version++ // by another type
	f.memory = f.version
}

// watched runs an informer on the API server until the test ends.
func (f *forgetful) watched(t *testing.T) (*source, *recorder) {
	t.Helper()
	s, seen := f.source(), &recorder{}
	informer, err := newInformer(s, f, &Object{}, "widgets", newPacker(example.WithKind("Widget"), nil).pack, indexers())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := informer.AddEventHandler(seen); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.run(ctx, informer)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	synctest.Wait()
	return s, seen
}

// soon is how long an API server that is back may go unnoticed.
const soon = time.Second

// The reflector would see what it has missed after 1 s at first, and after a minute in the end.
func TestRestartsOfTheAPIServerAreCaughtUpWithSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newForgetful()
		api.put("kept", "1")
		api.put("changed", "2")
		api.put("recreated", "old")
		s, seen := api.watched(t)
		wantEvents(t, seen, "add ns/changed", "add ns/kept", "add ns/recreated")
		for i := range 20 {
			gone, made := fmt.Sprint("passing-", i-1), fmt.Sprint("passing-", i)
			want := []string{"add ns/" + made, "add ns/recreated", "delete ns/recreated", "update ns/changed"}
			if i > 0 {
				want = append(want, "delete ns/"+gone)
				slices.Sort(want)
			}
			time.Sleep(5 * time.Second)
			api.restart(func() {
				delete(api.objects, gone)
				api.put(made, made)
				api.put("changed", "2")
				api.put("recreated", made)
			})
			time.Sleep(soon)
			wantEvents(t, seen, want...)
			if got, want := s.indexer.LastStoreSyncResourceVersion(), strconv.Itoa(api.version); got != want {
				t.Fatalf("the cache is at resourceVersion %s, want %s", got, want)
			}
		}
		api.change(func() { api.put("live", "3") })
		wantEvents(t, seen, "add ns/live")
		if last := api.options; last.ResourceVersionMatch != metav1.ResourceVersionMatchNotOlderThan {
			t.Errorf("listed with %+v, want what is not older than the cache", last)
		}
	})
}

// The reflector lists once more then, after its back-off.
func TestWhatCannotBeCaughtUpWithIsTheReflectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newForgetful()
		api.put("gone", "1")
		_, seen := api.watched(t)
		wantEvents(t, seen, "add ns/gone")
		time.Sleep(5 * time.Second)
		api.restart(func() { delete(api.objects, "gone") })
		api.change(func() { api.refusal = apierrors.NewBadRequest("not with a resourceVersion") })
		time.Sleep(soon)
		wantEvents(t, seen)
		api.change(func() { api.refusal = nil })
		time.Sleep(2 * reflectorDelay)
		wantEvents(t, seen, "vanish ns/gone")
	})
}

func TestWatchesThatEndAtOnceAreSpaced(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*forgetful)
	}{
		{"with nothing", func(f *forgetful) { f.short = true }},
		{"with the resourceVersion expired", func(f *forgetful) { f.memory = 1 << 30 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newForgetful()
				test.spoil(api)
				api.watched(t)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if n := api.watches; n < 20 || n > 40 {
					t.Errorf("%d watches in 10 minutes, want 20 to 40", n)
				}
				if api.lists > api.watches+1 {
					t.Errorf("%d lists for %d watches", api.lists, api.watches)
				}
			})
		})
	}
}

// An API server that has just started does not know the roles yet.
func TestRefusalAfterARestartIsNotBelievedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, requests := time.Now(), 0
		s := &source{report: func(string, error) {}, list: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			requests++
			if d := time.Since(began); 0 < d && d < refusedPatience/2 {
				return nil, forbidden(widgets)
			}
			return &List{}, nil
		}}
		if _, err := s.listOnce(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		if _, err := s.listOnce(t.Context(), metav1.ListOptions{}); err != nil {
			t.Errorf("list: %v", err)
		}
		if late := time.Since(began) - refusedPatience/2; late > 3*maxOutagePause/2 || requests > 12 {
			t.Errorf("listed %s after the end of the refusals, with %d requests", late, requests)
		}
	})
}

func TestRefusalThatLastsIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refusal error
		requests := 0
		s := &source{report: func(string, error) {}, list: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			requests++
			return &List{}, refusal
		}}
		if _, err := s.listOnce(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		refusal = forbidden(widgets)
		began := time.Now()
		if _, err := s.listOnce(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("list: %v", err)
		}
		if took := time.Since(began); took < refusedPatience || took > refusedPatience+2*maxOutagePause {
			t.Errorf("it was believed after %s, want %s", took, refusedPatience)
		}
		requests = 0
		if _, err := s.listOnce(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) || requests != 1 {
			t.Errorf("the next list: %v after %d requests, want the refusal after 1", err, requests)
		}
	})
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/cache"
)

func TestSyncedMeansDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"))
		set := newSet(t, api, Options{})
		slow, quick := set.Watch(widgets), set.Watch(widgets)
		release := make(chan struct{})
		addHandler(t, slow, &recorder{before: func(string) { <-release }})
		addHandler(t, quick, &recorder{})
		start(t, t.Context(), set)
		within(t, time.Second, quick)

		wantPhase(t, quick, Synced)
		wantPhase(t, slow, Syncing)
		if slow.Synced() {
			t.Fatal("synced before the handler has returned")
		}
		if len(slow.Keys()) != 1 {
			t.Fatal("the cache waits for a handler")
		}
		close(release)
		within(t, time.Second, slow)
	})
}

func TestLateHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"))
		set := newSet(t, api, Options{})
		informer, other := set.Watch(widgets), set.Watch(widgets)
		start(t, t.Context(), set)
		within(t, time.Second, informer)
		api.create(t, widgets, object(widgets, "ns", "b"))
		synctest.Wait()

		release := make(chan struct{})
		late := &recorder{before: func(string) { <-release }}
		addHandler(t, informer, late)
		if informer.Synced() {
			t.Fatal("synced before the late handler has got what there is")
		}
		if !other.Synced() {
			t.Fatal("another consumer's late handler makes this one unsynced")
		}
		close(release)
		within(t, time.Second, informer)
		wantEvents(t, late, "add ns/a", "add ns/b")
		api.update(t, widgets, object(widgets, "ns", "a", at("2")))
		api.delete(t, widgets, object(widgets, "ns", "b"))
		wantEvents(t, late, "delete ns/b", "update ns/a")
	})
}

func TestHandlerAddedWhileMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer()
		api.create(t, widgets, object(widgets, "ns", "a"))
		set := newSet(t, api, Options{})
		informer, seen := set.Watch(widgets), &recorder{}
		start(t, t.Context(), set)
		time.Sleep(time.Minute)
		addHandler(t, informer, seen)
		api.serve(widgets)
		within(t, 3*time.Second, informer)
		wantEvents(t, seen, "add ns/a")
	})
}

func TestRemoveHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		set := newSet(t, api, Options{})
		informer := set.Watch(widgets)
		removed, kept := &recorder{}, &recorder{}
		remove := addHandler(t, informer, removed)
		addHandler(t, informer, kept)
		start(t, t.Context(), set)
		within(t, time.Second, informer)
		api.create(t, widgets, object(widgets, "ns", "a"))
		wantEvents(t, removed, "add ns/a")
		wantEvents(t, kept, "add ns/a")

		remove()
		remove()
		api.create(t, widgets, object(widgets, "ns", "b"))
		wantEvents(t, kept, "add ns/b")
		api.withdraw(widgets)
		time.Sleep(reflectorDelay)
		wantEvents(t, kept, "vanish ns/a", "vanish ns/b")
		wantEvents(t, removed)
	})
}

// A handler that removes itself, or releases everything, from within a call
// must not deadlock, whatever the informer is doing.
func TestHandlerThatLeavesFromWithin(t *testing.T) {
	tests := []struct {
		name  string
		event string
		when  func(t *testing.T, api *apiServer, stop func())
	}{
		{"while syncing", "add ns/a", func(*testing.T, *apiServer, func()) {}},
		{"while running", "delete ns/a", func(t *testing.T, api *apiServer, _ func()) {
			t.Helper()
			api.delete(t, widgets, object(widgets, "ns", "a"))
		}},
		{"as the type goes", "vanish ns/a", func(_ *testing.T, api *apiServer, _ func()) { api.withdraw(widgets) }},
		{"as Run ends", "delete ns/a", func(t *testing.T, api *apiServer, stop func()) {
			t.Helper()
			api.delete(t, widgets, object(widgets, "ns", "a"))
			synctest.Wait()
			stop()
		}},
	}
	for _, leave := range []string{"remove", "release"} {
		for _, test := range tests {
			t.Run(leave+" "+test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					api := newAPIServer(widgets)
					api.create(t, widgets, object(widgets, "ns", "a"))
					set := newSet(t, api, Options{})
					informer, left := set.Watch(widgets), make(chan struct{})
					var remove func()
					seen := &recorder{before: func(event string) {
						if event != test.event {
							return
						}
						time.Sleep(time.Second) // what goes on meanwhile has begun
						if leave == "remove" {
							remove()
						} else {
							informer.Release()
						}
						close(left)
					}}
					remove = addHandler(t, informer, seen)
					stop := start(t, t.Context(), set)
					time.Sleep(500 * time.Millisecond)
					test.when(t, api, stop)
					<-left
					synctest.Wait()
					seen.take()
					api.create(t, widgets, object(widgets, "ns", "z"))
					time.Sleep(time.Minute)
					wantEvents(t, seen)
				})
			})
		}
	}
}

func TestNilHandler(t *testing.T) {
	informer := newSet(t, newAPIServer(), Options{}).Watch(widgets)
	if _, err := informer.AddHandler(nil); err == nil {
		t.Fatal("a nil handler was accepted")
	}
}

func TestWaitSyncedSaysWhatItWaitedFor(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*apiServer)
		want    string
	}{
		{"missing", func(*apiServer) {}, "example.com/v1 widgets is synced (Missing: example.com/v1 widgets: not served by the API server: it has no group-version example.com/v1"},
		{"plural", func(api *apiServer) { api.serve(gadgets) }, `(Missing: example.com/v1 widgets: not served by the API server: example.com/v1 has no resource "widgets"`},
		{"forbidden", func(api *apiServer) {
			api.serve(widgets)
			api.refuse(widgets, forbidden(widgets))
		}, `example.com/v1 widgets is synced (Failing: list example.com/v1 widgets: widgets.example.com is forbidden`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newAPIServer()
				test.prepare(api)
				set := newSet(t, api, Options{})
				informer := set.Watch(widgets)
				start(t, t.Context(), set)
				enough := errors.New("enough waiting")
				ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, enough)
				defer cancel()
				err := informer.WaitSynced(ctx)
				if !errors.Is(err, enough) || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("WaitSynced() = %v, want %q and the cause", err, test.want)
				}
			})
		})
	}
}

func TestStateString(t *testing.T) {
	tests := map[string]State{
		"Missing":                        {},
		"Syncing":                        {Phase: Syncing},
		"Synced":                         {Phase: Synced},
		"Failing: boom":                  {Phase: Failing, Err: errors.New("boom")},
		"Stopped: " + ErrStopped.Error(): {Phase: Stopped, Err: ErrStopped},
		"Phase(9)":                       {Phase: 9},
	}
	for want, state := range tests {
		if got := state.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

// A handler's memory of what exists holds the version that is cached, and nothing else.
func TestHandlerRemembersOnlyWhatIsCached(t *testing.T) {
	h := newHandler(nil, &recorder{})
	first, second := object(widgets, "ns", "a"), object(widgets, "ns", "a", at("2"))
	h.OnAdd(first, true)
	h.OnUpdate(first, second)
	if got := h.known[cache.NewObjectName("ns", "a")]; got != any(second) {
		t.Fatalf("remembers %v, want the newest version", got)
	}
	h.OnDelete(cache.DeletedFinalStateUnknown{Key: "ns/a", Obj: second})
	if len(h.known) != 0 {
		t.Fatalf("remembers %v after the delete", h.known)
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/cache"
)

func TestOptionsValidation(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want string // "" if allowed
	}{
		{"zero", Options{}, ""},
		{"least", Options{MaxPollInterval: 100 * time.Millisecond}, ""},
		{"too short", Options{MaxPollInterval: time.Millisecond}, "Options.MaxPollInterval: 1ms is not allowed: use 100ms or more"},
		{"negative", Options{MaxPollInterval: -time.Second}, "Options.MaxPollInterval: -1s is not allowed: use 100ms or more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(FromDynamic(newAPIServer()), newAPIServer(), test.o)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Fatalf("New() = %v, want %q", err, test.want)
			}
		})
	}
	if _, err := New(nil, newAPIServer(), Options{}); err == nil {
		t.Error("New without a client succeeded")
	}
	if _, err := New(FromDynamic(newAPIServer()), nil, Options{}); err == nil {
		t.Error("New without discovery succeeded")
	}
}

func TestConsumersShareOneWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"))
		set := newSet(t, api, Options{})
		before := set.Watch(widgets)
		start(t, t.Context(), set)
		within(t, time.Second, before)
		during := set.Watch(widgets)
		if !during.Synced() || len(during.Keys()) != 1 {
			t.Fatal("the second consumer has to wait for what is there")
		}
		if lists, watches := api.count("list widgets"), api.count("watch widgets"); lists != 1 || watches != 1 {
			t.Fatalf("%d lists and %d watches for two consumers", lists, watches)
		}
	})
}

func TestReleaseCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		set := newSet(t, api, Options{})
		one, two, three := set.Watch(widgets), set.Watch(widgets), set.Watch(widgets)
		seen := &recorder{}
		addHandler(t, three, seen)
		start(t, t.Context(), set)
		within(t, time.Second, three)

		one.Release()
		one.Release() // one reference, not two
		one.Release()
		api.create(t, widgets, object(widgets, "ns", "a"))
		wantEvents(t, seen, "add ns/a")

		two.Release()
		api.create(t, widgets, object(widgets, "ns", "b"))
		wantEvents(t, seen, "add ns/b")

		three.Release()
		api.create(t, widgets, object(widgets, "ns", "c"))
		wantEvents(t, seen)
		api.cut(widgets)
		requests := api.count("list widgets") + api.count("watch widgets")
		time.Sleep(time.Hour)
		if n := api.count("list widgets") + api.count("watch widgets"); n != requests {
			t.Fatalf("%d requests after the last release", n-requests)
		}

		again := set.Watch(widgets)
		within(t, time.Second, again)
		if n := len(again.Keys()); n != 3 {
			t.Fatalf("watched again: %d objects, want 3", n)
		}
	})
}

func TestReleaseTakesOnlyItsOwnHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		set := newSet(t, api, Options{})
		one, two := set.Watch(widgets), set.Watch(widgets)
		mine, theirs := &recorder{}, &recorder{}
		addHandler(t, one, mine)
		addHandler(t, two, theirs)
		start(t, t.Context(), set)
		within(t, time.Second, one)
		within(t, time.Second, two)

		one.Release()
		wantPhase(t, one, Stopped)
		if _, err := one.AddHandler(mine); !errors.Is(err, ErrReleased) {
			t.Fatalf("AddHandler() after Release = %v", err)
		}
		if err := one.WaitSynced(t.Context()); !errors.Is(err, ErrReleased) {
			t.Fatalf("WaitSynced() after Release = %v", err)
		}
		wantPhase(t, two, Synced)
		api.create(t, widgets, object(widgets, "ns", "a"))
		wantEvents(t, theirs, "add ns/a")
		wantEvents(t, mine)
	})
}

func TestReleaseDuringSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets, gadgets)
		unblock := api.block(widgets)
		set := newSet(t, api, Options{})
		informer, other := set.Watch(widgets), set.Watch(gadgets)
		stop := start(t, t.Context(), set)
		time.Sleep(time.Second)
		wantPhase(t, informer, Syncing)
		waited := make(chan error, 1)
		go func() { waited <- informer.WaitSynced(context.Background()) }()
		synctest.Wait()

		informer.Release()
		if err := <-waited; !errors.Is(err, ErrReleased) {
			t.Fatalf("WaitSynced() = %v", err)
		}
		wantPhase(t, other, Synced)

		again := set.Watch(widgets)
		unblock()
		within(t, time.Second, again)
		stop()
	})
}

// No request outlives Run, not even the list that client-go leaves behind.
func TestRunWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		unblock := api.block(widgets)
		set := newSet(t, api, Options{})
		set.Watch(widgets)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- set.Run(ctx) }()
		time.Sleep(time.Second)
		cancel()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("Run returned while a list was under way")
		default:
		}
		unblock()
		if err := <-done; err != nil {
			t.Fatalf("Run() = %v", err)
		}
	})
}

func TestAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"))
		set := newSet(t, api, Options{})
		informer, missing := set.Watch(widgets), set.Watch(gadgets)
		seen := &recorder{}
		addHandler(t, informer, seen)
		stop := start(t, t.Context(), set)
		within(t, time.Second, informer)
		waited := make(chan error, 1)
		go func() { waited <- missing.WaitSynced(context.Background()) }()
		stop()

		if err := <-waited; !errors.Is(err, ErrStopped) {
			t.Errorf("WaitSynced() = %v", err)
		}
		wantPhase(t, informer, Stopped)
		if _, ok := informer.Get("ns", "a"); !ok {
			t.Error("the last known objects cannot be read")
		}
		wantEvents(t, seen, "add ns/a") // and no delete

		late := set.Watch(widgets)
		if err := late.WaitSynced(context.Background()); !errors.Is(err, ErrStopped) {
			t.Errorf("WaitSynced() of an informer made later = %v", err)
		}
		if _, err := late.AddHandler(seen); !errors.Is(err, ErrStopped) {
			t.Errorf("AddHandler() on an informer made later = %v", err)
		}
		if err := set.Run(t.Context()); !errors.Is(err, ErrAlreadyRun) {
			t.Errorf("Run() again = %v", err)
		}
		for _, i := range []*Informer{informer, missing, late} {
			i.Release()
			i.Release()
		}
	})
}

func TestBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets, gadgets)
		set := newSet(t, api, Options{})
		informer, dropped := set.Watch(widgets), set.Watch(gadgets)
		if state := informer.State(); state.Phase != Missing || state.Err != nil {
			t.Fatalf("State() = %v before Run", state)
		}
		dropped.Release()
		waited := make(chan error, 1)
		go func() { waited <- informer.WaitSynced(context.Background()) }()
		synctest.Wait()
		start(t, t.Context(), set)
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		if n := api.count("list gadgets"); n != 0 {
			t.Fatal("a type released before Run was listed")
		}
	})
}

// Everything at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		for i := range 20 {
			api.create(t, widgets, object(widgets, "ns", fmt.Sprint(i)))
		}
		set := newSet(t, api, Options{Metadata: newMetadataClient(t)})
		stop := start(t, t.Context(), set)
		var users sync.WaitGroup
		for range 8 {
			users.Go(func() {
				for range 50 {
					informer := set.Watch(widgets)
					var remove func()
					remove, err := informer.AddHandler(cache.ResourceEventHandlerFuncs{
						AddFunc:    func(any) { informer.List("", nil) },
						DeleteFunc: func(any) { informer.State() },
					})
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					if informer.WaitSynced(ctx) == nil && len(informer.Keys()) > 20 {
						t.Error("too many objects")
					}
					cancel()
					if err == nil {
						remove()
					}
					informer.Release()
				}
			})
		}
		for range 20 {
			api.withdraw(widgets)
			time.Sleep(1700 * time.Millisecond)
			api.serve(widgets)
			time.Sleep(2300 * time.Millisecond)
		}
		stop()
		users.Wait()
	})
}

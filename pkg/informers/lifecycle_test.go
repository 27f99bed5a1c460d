// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// reflectorDelay is more than what client-go's reflector waits before it tries again
// for the first time.
const reflectorDelay = 2 * time.Second

func TestTypeThatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer()
		set := newSet(t, api, Options{})
		informer, seen := set.Watch(widgets), &recorder{}
		addHandler(t, informer, seen)
		start(t, t.Context(), set)

		time.Sleep(time.Minute)
		wantPhase(t, informer, Missing)
		if err := informer.State().Err; !errors.Is(err, ErrNotServed) {
			t.Fatalf("State().Err = %v, want ErrNotServed", err)
		}
		if _, known := informer.Kind(); known {
			t.Fatal("the kind of a type is known that was never served")
		}

		api.create(t, widgets, object(widgets, "ns", "a"), object(widgets, "ns", "b"))
		api.serve(widgets)
		within(t, 3*time.Second, informer)
		wantPhase(t, informer, Synced)
		wantEvents(t, seen, "add ns/a", "add ns/b")
		if kind, _ := informer.Kind(); kind != example.WithKind("Widget") || !informer.Namespaced() {
			t.Fatalf("Kind() = %v, Namespaced() = %v", kind, informer.Namespaced())
		}

		api.withdraw(widgets)
		time.Sleep(reflectorDelay)
		wantPhase(t, informer, Missing)
		if informer.Synced() {
			t.Fatal("synced although the type has gone")
		}
		wantEvents(t, seen, "vanish ns/a", "vanish ns/b")
		if keys := informer.Keys(); len(keys) != 0 {
			t.Fatalf("the cache of a type that has gone holds %v", keys)
		}

		api.delete(t, widgets, object(widgets, "ns", "b"))
		api.serve(widgets)
		within(t, 3*time.Second, informer)
		wantEvents(t, seen, "add ns/a")
		api.create(t, widgets, object(widgets, "ns", "c"))
		wantEvents(t, seen, "add ns/c")
	})
}

func TestOnlyWhatIsLeftVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"), object(widgets, "ns", "b"))
		set := newSet(t, api, Options{})
		informer, seen := set.Watch(widgets), &recorder{}
		addHandler(t, informer, seen)
		start(t, t.Context(), set)
		within(t, time.Second, informer)
		wantEvents(t, seen, "add ns/a", "add ns/b")

		// As the API server does when a CRD is deleted: its objects go first.
		api.delete(t, widgets, object(widgets, "ns", "a"))
		wantEvents(t, seen, "delete ns/a")
		api.withdraw(widgets)
		time.Sleep(reflectorDelay)
		wantEvents(t, seen, "vanish ns/b")
	})
}

// What client-go still had queued for a slow handler when the type went is lost. The handler
// must neither miss a delete nor get one for an object that it never heard of.
func TestSlowHandlerWhenTypeGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"))
		set := newSet(t, api, Options{})
		informer, seen := set.Watch(widgets), &recorder{}
		release := make(chan struct{})
		seen.before = func(event string) {
			if event == "add ns/b" {
				<-release
			}
		}
		addHandler(t, informer, seen)
		start(t, t.Context(), set)
		within(t, time.Second, informer)

		for _, name := range []string{"b", "c", "d"} {
			api.create(t, widgets, object(widgets, "ns", name))
		}
		api.delete(t, widgets, object(widgets, "ns", "a"))
		synctest.Wait()
		api.withdraw(widgets)
		time.Sleep(reflectorDelay)
		close(release)
		synctest.Wait()

		exists := map[string]bool{}
		for _, event := range seen.events {
			verb, name, _ := strings.Cut(event, " ")
			switch known := exists[name]; {
			case verb == "add" && known, verb != "add" && !known:
				t.Fatalf("%s: out of order in %q", event, seen.events)
			}
			exists[name] = verb == "add"
		}
		for name, exists := range exists {
			if exists {
				t.Errorf("the handler still believes in %s: %q", name, seen.events)
			}
		}
	})
}

func TestMissingTypeHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(gadgets)
		set := newSet(t, api, Options{})
		set.Watch(zones)
		set.Watch(widgets)
		served := set.Watch(gadgets)
		start(t, t.Context(), set)
		within(t, 50*time.Millisecond, served)
	})
}

func TestDiscoveryIsAskedPerGroupVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const group = "discover example.com/v1"
		api := newAPIServer(widgets)
		set := newSet(t, api, Options{MaxPollInterval: 2 * time.Second})
		for _, resource := range []string{"widgets", "a", "b", "c", "d", "e", "f"} {
			set.Watch(example.WithResource(resource))
		}
		start(t, t.Context(), set)

		time.Sleep(gatherDelay)
		synctest.Wait()
		if n := api.count(group); n != 1 {
			t.Fatalf("%d discovery requests at the start, want 1 for all the types", n)
		}
		time.Sleep(10 * time.Minute)
		// Between 2 s and 2.5 s apart, and a few more at first.
		if n := api.count(group); n < 10*60*2/5 || n > 10*60/2+10 {
			t.Fatalf("%d discovery requests in 10 minutes with a MaxPollInterval of 2 s", n)
		}
	})
}

func TestDiscoveryIsLeftAloneOnceAllIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets, gadgets)
		set := newSet(t, api, Options{})
		within := func(i *Informer) { within(t, time.Second, i) }
		one, two := set.Watch(widgets), set.Watch(gadgets)
		start(t, t.Context(), set)
		within(one)
		within(two)
		asked := api.count("discover example.com/v1")
		time.Sleep(time.Hour)
		if n := api.count("discover example.com/v1"); n != asked {
			t.Fatalf("%d discovery requests after everything was synced", n-asked)
		}
	})
}

func TestNotFoundIsNotBelievedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"))
		set := newSet(t, api, Options{})
		informer, seen := set.Watch(widgets), &recorder{}
		addHandler(t, informer, seen)
		start(t, t.Context(), set)
		within(t, time.Second, informer)
		wantEvents(t, seen, "add ns/a")

		api.lose(widgets)
		time.Sleep(10 * time.Minute)
		wantPhase(t, informer, Failing)
		if !informer.Synced() || len(informer.Keys()) != 1 {
			t.Fatal("the cache was given up although discovery has the type")
		}
		// The reflector's back-off is 30 s to 60 s by now.
		if n := api.count("list widgets"); n > 40 {
			t.Fatalf("%d lists in 10 minutes of 404", n)
		}
		wantEvents(t, seen)

		api.serve(widgets)
		time.Sleep(2 * time.Minute)
		wantPhase(t, informer, Synced)
		wantEvents(t, seen, "update ns/a") // the list that succeeded
	})
}

func TestGoneTypeIsNotWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		set := newSet(t, api, Options{})
		informer := set.Watch(widgets)
		start(t, t.Context(), set)
		within(t, time.Second, informer)
		api.withdraw(widgets)
		time.Sleep(reflectorDelay)
		lists, watches := api.count("list widgets"), api.count("watch widgets")
		time.Sleep(time.Hour)
		if api.count("list widgets") != lists || api.count("watch widgets") != watches {
			t.Fatal("a type that has gone was listed or watched")
		}
	})
}

func TestFlickeringTypeIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer()
		set := newSet(t, api, Options{})
		set.Watch(widgets)
		start(t, t.Context(), set)
		go func() {
			for range 60 * 100 {
				api.serve(widgets)
				time.Sleep(50 * time.Millisecond)
				api.withdraw(widgets)
				time.Sleep(50 * time.Millisecond)
			}
		}()
		time.Sleep(10 * time.Minute)
		if n := api.count("list widgets"); n > 150 { // it comes back 6000 times
			t.Fatalf("%d lists in 10 minutes of a type that comes and goes", n)
		}
	})
}

func TestKindThatChangesScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		set := newSet(t, api, Options{Namespace: "ns"})
		informer := set.Watch(widgets)
		start(t, t.Context(), set)
		within(t, time.Second, informer)

		api.withdraw(widgets)
		api.mu.Lock()
		changed := apis[widgets]
		changed.Namespaced = false
		api.discovers[widgets] = changed
		api.mu.Unlock()
		time.Sleep(3 * time.Second)
		api.mu.Lock()
		api.served[widgets] = true
		api.mu.Unlock()
		time.Sleep(time.Minute)
		wantPhase(t, informer, Synced)
		if informer.Namespaced() {
			t.Fatal("still taken for namespaced")
		}
	})
}

func TestUnwatchableType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer()
		reviews := schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "reviews"}
		api.discovers[reviews] = apis[widgets]
		review := apis[widgets]
		review.Name, review.Verbs = "reviews", []string{"create"}
		api.discovers[reviews] = review
		set := newSet(t, api, Options{})
		informer := set.Watch(reviews)
		start(t, t.Context(), set)
		time.Sleep(time.Second)
		wantPhase(t, informer, Failing)
		if got := informer.State().Err.Error(); !strings.Contains(got, "offers only [create]") {
			t.Fatalf("State().Err = %q", got)
		}
	})
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/shardctl/shardctl/pkg/informers"
)

// gizmos are a type that the API server does not serve.
var gizmos = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "gizmos"}

// works is a controller of a replica that reconciles as named in the cluster's books.
func (c *cluster) works(as string, gvr schema.GroupVersionResource, work func(context.Context, Key) error) Controller {
	return Controller{Resource: gvr, Workers: 2, Reconcile: func(ctx context.Context, key Key) (Result, error) {
		return Result{}, c.reconcile(ctx, as, gvr.Resource+"/"+key.Name, func() error { return work(ctx, key) })
	}}
}

// epochs are those of the terms that a replica works for, by shard.
func (m *member) epochs() map[string]int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]int32{}
	for t := range m.tenures {
		all[t.term.Shard()] = t.term.Epoch()
	}
	return all
}

func keysOfNothing(*informers.Object) []Key { return nil }

func nameOf(gvr schema.GroupVersionResource) ControllerName {
	return ControllerName{Resource: gvr.GroupResource()}
}

func TestApplyAddsWhileTheGroupRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(gadgets, "g"))
		m := c.prepare("a")
		if err := m.Add(c.works("a", widgets, quick)); err != nil {
			t.Fatal(err)
		}
		m.run()
		c.eventually(firstStart, "the first type is reconciled", func() bool { return c.reconciles("a", "widgets/w") == 1 })
		var seen atomic.Int32
		added := c.works("a", gadgets, quick)
		added.Observe = func(context.Context, Key) { seen.Add(1) }
		var ran atomic.Bool
		err := m.Apply(t.Context(), Change{
			AddControllers: []Controller{added},
			AddRoles: []Role{{Name: "nightly", Run: func(ctx context.Context) error {
				ran.Store(true)
				<-ctx.Done()
				return nil
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.eventually(firstStart, "what was added works", func() bool {
			return c.reconciles("a", "gadgets/g") == 1 && seen.Load() == 1 && ran.Load()
		})
		if n := c.reconciles("a", "widgets/w"); n != 1 {
			t.Errorf("what was there has reconciled its object %d times, want once", n)
		}
		c.stop(m)
	})
}

// The shard stays where it is, and the next controller does not begin an object that the
// last one has in its hands.
func TestApplyReplacesWithinTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(widgets, "x"))
		m := c.prepare("a")
		var interrupted atomic.Value
		done := make(chan struct{})
		old := c.works("old", widgets, func(ctx context.Context, key Key) error {
			if key.Name == "w" {
				return nil
			}
			<-ctx.Done()
			interrupted.Store(context.Cause(ctx))
			time.Sleep(3 * time.Second) // cluster.reconcile fails the test if the other begins meanwhile
			return ctx.Err()
		})
		old.Done = func() { close(done) }
		if err := m.Add(old); err != nil {
			t.Fatal(err)
		}
		m.run()
		c.eventually(firstStart, "one object is reconciled", func() bool { return c.reconciles("old", "widgets/w") == 1 })
		before := m.epochs()
		began := time.Now()
		if err := m.Apply(t.Context(), Change{
			RemoveControllers: []ControllerName{nameOf(widgets)}, AddControllers: []Controller{c.works("new", widgets, quick)},
		}); err != nil {
			t.Fatal(err)
		}
		c.eventually(5*time.Second, "the next one reconciles all objects", func() bool {
			return c.reconciles("new", "widgets/w") == 1 && c.reconciles("new", "widgets/x") == 1
		})
		<-done
		// A grace of 0.5 s, and what the work took to end.
		if took := time.Since(began); took < 3500*time.Millisecond || took > 4*time.Second {
			t.Errorf("it took %s, want about 3.5 s", took)
		}
		if cause, _ := interrupted.Load().(error); !errors.Is(cause, errRetired) {
			t.Errorf("the work was cancelled for %v, want %v", cause, errRetired)
		}
		if after := m.epochs(); after["widgets.example.com"] != before["widgets.example.com"] {
			t.Errorf("the epoch went from %d to %d: the shard has moved", before["widgets.example.com"], after["widgets.example.com"])
		}
		c.stop(m)
	})
}

func TestApplyReplacesARole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		m := c.prepare("a")
		var running atomic.Int32
		var version atomic.Value
		run := func(name string) func(context.Context) error {
			return func(ctx context.Context) error {
				if running.Add(1) > 1 {
					t.Error("two run at a time")
				}
				defer running.Add(-1)
				version.Store(name)
				<-ctx.Done()
				time.Sleep(2 * time.Second)
				return nil
			}
		}
		if err := m.AddRole(Role{Name: "nightly", Run: run("old")}); err != nil {
			t.Fatal(err)
		}
		m.run()
		c.eventually(firstStart, "the role runs", func() bool { return version.Load() == "old" })
		if err := m.Apply(t.Context(), Change{RemoveRoles: []string{"nightly"}, AddRoles: []Role{{Name: "nightly", Run: run("new")}}}); err != nil {
			t.Fatal(err)
		}
		c.eventually(3*time.Second, "the next one runs", func() bool { return version.Load() == "new" })
		c.stop(m)
	})
}

func TestApplyGivesAwayWhatWasRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(gadgets, "g"))
		a := c.prepare("a")
		var done atomic.Int32
		for _, gvr := range []schema.GroupVersionResource{widgets, gadgets} {
			controller := c.works("a", gvr, quick)
			controller.Done = func() { done.Add(1) }
			if err := a.Add(controller); err != nil {
				t.Fatal(err)
			}
		}
		a.run()
		c.eventually(firstStart, "it holds both", func() bool { return len(a.holds()) == 2 })
		if err := a.Apply(t.Context(), Change{RemoveControllers: []ControllerName{nameOf(widgets)}}); err != nil {
			t.Fatal(err)
		}
		c.eventually(time.Second, "it holds the other type alone", func() bool { return len(a.holds()) == 1 && a.holds()["gadgets"] && done.Load() == 1 })
		b := c.start("b", quick) // has both types
		c.eventually(firstStart, "the other replica works for the type", func() bool { return c.reconciles("b", "widgets/w") > 0 })
		if err := a.Ready(); err != nil {
			t.Errorf("it is not ready: %v", err)
		}
		c.stop(a, b)
		if n := done.Load(); n != 2 {
			t.Errorf("Done was called %d times for two controllers", n)
		}
	})
}

// Work that ignores its context keeps what is to replace it from beginning, which shows in
// the health of the replica.
func TestApplyWaitsForWorkThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		m := c.prepare("a")
		release, stuck := make(chan struct{}), make(chan struct{})
		if err := m.Add(c.works("old", widgets, func(context.Context, Key) error {
			close(stuck)
			<-release
			return nil
		})); err != nil {
			t.Fatal(err)
		}
		m.run()
		<-stuck
		for _, as := range []string{"second", "third"} { // the second is replaced before it has begun
			if err := m.Apply(t.Context(), Change{
				RemoveControllers: []ControllerName{nameOf(widgets)}, AddControllers: []Controller{c.works(as, widgets, quick)},
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Live(); err != nil {
			t.Errorf("before the DrainTimeout: %v", err)
		}
		time.Sleep(6 * time.Second)
		if err := m.Live(); err == nil || !strings.Contains(err.Error(), "what has replaced controller widgets.example.com") {
			t.Errorf("after the DrainTimeout it is live: %v", err)
		}
		if n := c.reconciles("second", "widgets/w") + c.reconciles("third", "widgets/w"); n > 0 {
			t.Errorf("what replaces it has reconciled %d times meanwhile", n)
		}
		close(release)
		c.eventually(time.Second, "the third begins", func() bool { return c.reconciles("third", "widgets/w") == 1 })
		if err := m.Live(); err != nil {
			t.Errorf("after it has returned: %v", err)
		}
		if n := c.reconciles("second", "widgets/w"); n > 0 {
			t.Errorf("the second has reconciled %d times, although it was replaced", n)
		}
		c.stop(m)
	})
}

func TestApplyChangesAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		m := c.prepare("a")
		if err := m.Add(c.works("a", widgets, quick)); err != nil {
			t.Fatal(err)
		}
		m.run()
		c.eventually(firstStart, "the object is reconciled", func() bool { return c.reconciles("a", "widgets/w") == 1 })
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		missing := c.works("new", widgets, quick)
		missing.Watches = []Watch{{Resource: gizmos, Keys: keysOfNothing}}
		unused := c.works("new", gadgets, quick)
		unused.Done = func() { t.Error("Done was called of a controller that was never the group's") }
		replaced := []ControllerName{nameOf(widgets)}
		for _, tc := range []struct {
			name   string
			ctx    context.Context
			change Change
			want   string
		}{
			{"remove what is not there", t.Context(), Change{RemoveControllers: []ControllerName{nameOf(gadgets)}, AddControllers: []Controller{unused}}, "there is none"},
			{"remove a role that is not there", t.Context(), Change{RemoveControllers: replaced, RemoveRoles: []string{"nightly"}}, `role "nightly": cannot be removed`},
			{"add what is there", t.Context(), Change{AddControllers: []Controller{unused, c.works("new", widgets, quick)}}, "there is one of this name"},
			{"add one twice", t.Context(), Change{AddControllers: []Controller{unused, unused}}, "there is one of this name"},
			{"add what cannot work", t.Context(), Change{RemoveControllers: replaced, AddControllers: []Controller{unused}, AddRoles: []Role{{Name: "nightly"}}}, "run: is required"},
			{"caches that are not complete in time", soon, Change{RemoveControllers: replaced, AddControllers: []Controller{unused, missing}}, context.DeadlineExceeded.Error()},
		} {
			if err := m.Apply(tc.ctx, tc.change); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
			}
		}
		if _, err := c.objects.Resource(widgets).Namespace("ns").Create(t.Context(), object(widgets, "x"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.eventually(time.Second, "the controller works on", func() bool { return c.reconciles("a", "widgets/x") == 1 })
		c.stop(m)
	})
}

// A type that the API server does not serve holds up a replacement for a while only.
func TestApplyDoesNotWaitForCachesForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		m := c.prepare("a")
		if err := m.Add(c.works("a", widgets, quick)); err != nil {
			t.Fatal(err)
		}
		m.run()
		c.eventually(firstStart, "the object is reconciled", func() bool { return c.reconciles("a", "widgets/w") == 1 })
		missing := c.works("new", widgets, quick)
		missing.Watches = []Watch{{Resource: gizmos, Keys: keysOfNothing}}
		began := time.Now()
		if err := m.Apply(t.Context(), Change{RemoveControllers: []ControllerName{nameOf(widgets)}, AddControllers: []Controller{missing}}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < cachePatience || took > cachePatience+time.Second {
			t.Errorf("it took %s, want %s", took, cachePatience)
		}
		c.eventually(5*time.Second, "it gives away what it cannot do", func() bool { return len(m.holds()) == 0 })
		c.stop(m)
	})
}

// What was replaced must not be kept for as long as the process runs.
func TestReportForgetsWhatWasReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		m := c.prepare("a")
		waiting := map[*controller]cacheWait{}
		if err := m.Add(c.works("a", widgets, quick)); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			m.failures(t.Context(), waiting)
			if err := m.Apply(t.Context(), Change{RemoveControllers: []ControllerName{nameOf(widgets)}, AddControllers: []Controller{c.works("a", widgets, quick)}}); err != nil {
				t.Fatal(err)
			}
		}
		m.failures(t.Context(), waiting)
		if len(waiting) != 1 {
			t.Errorf("the report loop keeps %d controllers, of which one is there", len(waiting))
		}
	})
}

// Done says that Observe is not called any more.
func TestDoneComesAfterObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		m := c.prepare("a")
		var observing, done atomic.Bool
		old := c.works("a", widgets, quick)
		old.Observe = func(context.Context, Key) {
			observing.Store(true)
			time.Sleep(20 * time.Second)
			observing.Store(false)
		}
		old.Done = func() {
			if observing.Load() {
				t.Error("Done is called while Observe runs")
			}
			done.Store(true)
		}
		if err := m.Add(old); err != nil {
			t.Fatal(err)
		}
		m.run()
		c.eventually(firstStart, "it observes", func() bool { return c.reconciles("a", "widgets/w") == 1 && observing.Load() })
		if err := m.Apply(t.Context(), Change{RemoveControllers: []ControllerName{nameOf(widgets)}}); err != nil {
			t.Fatal(err)
		}
		c.eventually(30*time.Second, "done", done.Load)
		c.stop(m)
	})
}

// slowGadgets is a cluster in which a list of gadgets takes a second.
func slowGadgets(t *testing.T, objects ...runtime.Object) *cluster {
	c := newCluster(t, objects...)
	c.objects.(*dynamicfake.FakeDynamicClient).PrependReactor("list", "gadgets", func(clienttesting.Action) (bool, runtime.Object, error) {
		time.Sleep(time.Second)
		return false, nil, nil
	})
	return c
}

func TestAddingToATypeKeepsItsShards(t *testing.T) {
	for _, tc := range []struct {
		name   string
		remove []ControllerName
	}{
		{"another controller of the type", nil},
		{"the same one by another name", []ControllerName{nameOf(widgets)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := slowGadgets(t, object(widgets, "w"))
				m := c.prepare("a")
				if err := m.Add(c.works("a", widgets, quick)); err != nil {
					t.Fatal(err)
				}
				m.run()
				c.eventually(firstStart, "it is reconciled", func() bool { return c.reconciles("a", "widgets/w") == 1 })
				before := m.epochs()["widgets.example.com"]
				second := c.works("b", widgets, quick)
				second.Name = "second"
				second.Watches = []Watch{{Resource: gadgets, Keys: keysOfNothing}}
				if err := m.Apply(t.Context(), Change{RemoveControllers: tc.remove, AddControllers: []Controller{second}}); err != nil {
					t.Fatal(err)
				}
				c.eventually(10*time.Second, "the second reconciles it", func() bool { return c.reconciles("b", "widgets/w") > 0 })
				if after := m.epochs()["widgets.example.com"]; after != before {
					t.Errorf("the epoch went from %d to %d: the shard was given away", before, after)
				}
				c.stop(m)
			})
		})
	}
}

// An object without a finalizer that was deleted right before its controller was
// replaced is reconciled once more.
func TestReplacementReplaysDeletions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		m := c.prepare("a")
		fail := func(context.Context, Key) error {
			if c.reconciles("a", "widgets/w") > 0 {
				return fmt.Errorf("the webhook's address is wrong")
			}
			return nil
		}
		if err := m.Add(c.works("a", widgets, fail)); err != nil {
			t.Fatal(err)
		}
		m.run()
		c.eventually(firstStart, "it is reconciled", func() bool { return c.reconciles("a", "widgets/w") == 1 })
		if err := c.objects.Resource(widgets).Namespace("ns").Delete(t.Context(), "w", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := m.Apply(t.Context(), Change{RemoveControllers: []ControllerName{nameOf(widgets)}, AddControllers: []Controller{c.works("new", widgets, quick)}}); err != nil {
			t.Fatal(err)
		}
		c.eventually(30*time.Second, "the deletion is reconciled by the next one", func() bool { return c.reconciles("new", "widgets/w") > 0 })
		c.stop(m)
	})
}

// A role that takes the name of a type which was divided runs once all the same.
func TestRoleAfterADividedType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		core := schema.GroupVersionResource{Version: "v1", Resource: "widgets"}
		c.objects = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{core: "WidgetList"})
		var members []*member
		for _, name := range []string{"a", "b"} {
			m := c.prepare(name)
			one := c.works(name, core, quick)
			one.Buckets = 4
			if err := m.Add(one); err != nil {
				t.Fatal(err)
			}
			m.run()
			members = append(members, m)
		}
		c.eventually(2*firstStart, "each holds two", func() bool { return len(members[0].holds()) == 2 && len(members[1].holds()) == 2 })
		var running, most atomic.Int32
		for _, m := range members {
			if err := m.Apply(t.Context(), Change{
				RemoveControllers: []ControllerName{nameOf(core)},
				AddRoles: []Role{{Name: "widgets", Run: func(ctx context.Context) error {
					if n := running.Add(1); n > most.Load() {
						most.Store(n)
					}
					defer running.Add(-1)
					<-ctx.Done()
					return nil
				}}},
			}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if n := most.Load(); n != 1 {
			t.Errorf("the role ran on %d replicas at a time", n)
		}
		c.stop(members...)
	})
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/internal/leasetest"
	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/lease"
)

var (
	widgets = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
	gadgets = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "gadgets"}
)

// cluster is what the replicas of a test share: objects, and Leases that
// enforce their resourceVersions.
type cluster struct {
	t       *testing.T
	leases  leasetest.Store
	objects dynamic.Interface
	// fault, if set before a replica is made, may fail its requests on Leases.
	fault func(ctx context.Context, replica string) error

	mu   sync.Mutex
	done map[string]int // replica, type and name -> reconciles that ended
	busy map[string]string
}

// served is a discovery that knows both types.
type served struct{}

func (served) ServerResourcesForGroupVersionWithContext(context.Context, string) (*metav1.APIResourceList, error) {
	verbs := metav1.Verbs{"list", "watch"}
	return &metav1.APIResourceList{APIResources: []metav1.APIResource{
		{Name: "widgets", Kind: "Widget", Namespaced: true, Verbs: verbs},
		{Name: "gadgets", Kind: "Gadget", Namespaced: true, Verbs: verbs},
	}}, nil
}

func newCluster(t *testing.T, objects ...runtime.Object) *cluster {
	return &cluster{
		t: t, done: map[string]int{}, busy: map[string]string{},
		objects: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
			map[schema.GroupVersionResource]string{widgets: "WidgetList", gadgets: "GadgetList"}, objects...),
	}
}

func object(gvr schema.GroupVersionResource, name string) *unstructured.Unstructured {
	kind := map[string]string{"widgets": "Widget", "gadgets": "Gadget"}[gvr.Resource]
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": gvr.GroupVersion().String(), "kind": kind,
		"metadata": map[string]any{"namespace": "ns", "name": name, "resourceVersion": "1"},
	}}
}

// member is one replica.
type member struct {
	*Group
	name   string
	leave  context.CancelFunc
	result chan error
}

// prepare makes a replica that does not run yet.
func (c *cluster) prepare(name string) *member {
	c.t.Helper()
	o := GroupOptions{
		Name: "g", Namespace: "ns", Pod: name, Container: "main", Timings: lease.Fast, Clock: lease.MonotonicClock(),
		DrainGrace: 500 * time.Millisecond, DrainTimeout: 5 * time.Second, LeaveTimeout: 10 * time.Second,
	}
	if err := o.setDefaults(); err != nil {
		c.t.Fatal(err)
	}
	set, err := informers.New(informers.FromDynamic(c.objects), served{}, informers.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	fault := func(ctx context.Context, _ string) error {
		if c.fault == nil {
			return nil
		}
		return c.fault(ctx, name)
	}
	g, err := newGroup(&rest.Config{}, lease.NewClientFor(c.leases.Client(name, fault)), set, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return &member{Group: g, name: name, result: make(chan error, 1)}
}

func (m *member) run() {
	ctx, leave := context.WithCancel(context.Background())
	m.leave = leave
	go func() { m.result <- m.Run(ctx) }()
}

// start runs a replica that reconciles both types by work.
func (c *cluster) start(name string, work func(ctx context.Context, key Key) error) *member {
	c.t.Helper()
	m := c.prepare(name)
	for _, gvr := range []schema.GroupVersionResource{widgets, gadgets} {
		err := m.Add(Controller{Resource: gvr, Workers: 2, Reconcile: func(ctx context.Context, key Key) (Result, error) {
			return Result{}, c.reconcile(ctx, name, gvr.Resource+"/"+key.Name, func() error { return work(ctx, key) })
		}})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	m.run()
	return m
}

// reconcile counts, and sees to it that nobody else works on the object.
func (c *cluster) reconcile(ctx context.Context, replica, object string, work func() error) error {
	term, ok := TermFrom(ctx)
	if !ok || !term.Valid() {
		c.t.Errorf("%s reconciles %s without a valid term", replica, object)
	}
	c.mu.Lock()
	if other := c.busy[object]; other != "" {
		c.t.Errorf("%s reconciles %s while %s does", replica, object, other)
	}
	c.busy[object] = replica
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.busy, object)
	}()
	if err := work(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[replica+" "+object]++
	return nil
}

func (c *cluster) reconciles(replica, object string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done[replica+" "+object]
}

// holds lists the shards of a replica whose terms are valid.
func (m *member) holds() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := map[string]bool{}
	for t := range m.tenures {
		if t.term.Valid() {
			held[strings.TrimSuffix(t.term.Shard(), ".example.com")] = true
		}
	}
	return held
}

// eventually waits until something is so, and until nothing that follows from it at once is
// under way any more.
func (c *cluster) eventually(within time.Duration, what string, ok func() bool) {
	c.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > within {
			c.t.Fatalf("not within %s: %s", within, what)
		}
	}
	synctest.Wait()
}

func (c *cluster) stop(members ...*member) {
	c.t.Helper()
	for _, m := range members {
		m.leave()
		if err := <-m.result; err != nil {
			c.t.Errorf("%s left with %v", m.name, err)
		}
	}
}

func quick(context.Context, Key) error { return nil }

const firstStart = 10 * time.Second // a LeaseDuration for the layout record, and some

func TestGroupReconcilesEverythingOnGainingAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(gadgets, "g"))
		a := c.start("a", quick)
		c.eventually(firstStart, "both objects are reconciled", func() bool {
			return c.reconciles("a", "widgets/w") == 1 && c.reconciles("a", "gadgets/g") == 1
		})
		b := c.start("b", quick)
		c.eventually(5*time.Second, "each holds one type", func() bool { return len(a.holds()) == 1 && len(b.holds()) == 1 })
		moved := "widgets/w"
		if b.holds()["gadgets"] {
			moved = "gadgets/g"
		}
		c.eventually(time.Second, "the new holder reconciles what it gained", func() bool { return c.reconciles("b", moved) == 1 })
		if err := errors.Join(a.Ready(), a.Live(), b.Ready(), b.Live()); err != nil {
			t.Errorf("health: %v", err)
		}
		c.stop(a, b)
	})
}

func TestGroupReconcilesChangesOnTheHolderOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a, b := c.start("a", quick), c.start("b", quick)
		c.eventually(firstStart, "each holds one type", func() bool { return len(a.holds()) == 1 && len(b.holds()) == 1 })
		for i := range 10 {
			if _, err := c.objects.Resource(widgets).Namespace("ns").Create(t.Context(), object(widgets, fmt.Sprint(i)), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		holder, other := "a", "b"
		if b.holds()["widgets"] {
			holder, other = "b", "a"
		}
		for i := range 10 {
			name := fmt.Sprintf("widgets/%d", i)
			c.eventually(time.Second, name+" is reconciled by the holder", func() bool { return c.reconciles(holder, name) > 0 })
			if c.reconciles(other, name) > 0 {
				t.Errorf("%s was reconciled by %s, which does not hold the type", name, other)
			}
		}
		c.stop(a, b)
	})
}

func TestGroupWaitsForTheWorkBeforeAHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(gadgets, "g"))
		var causes sync.Map
		slow := func(ctx context.Context, key Key) error {
			<-ctx.Done() // works until told to stop
			causes.Store(key.Name, context.Cause(ctx))
			time.Sleep(2 * time.Second) // and takes its time
			return ctx.Err()
		}
		a := c.start("a", slow)
		c.eventually(firstStart, "it holds both", func() bool { return len(a.holds()) == 2 })
		b := c.start("b", quick)
		c.eventually(firstStart, "the other is given one", func() bool { return len(b.holds()) == 1 })
		gained := "w"
		if b.holds()["gadgets"] {
			gained = "g"
		}
		if cause, _ := causes.Load(gained); !errors.Is(cause.(error), ErrHandedOver) {
			t.Errorf("the context of the work was cancelled for %v, want ErrHandedOver", cause)
		}
		c.stop(a, b) // cluster.reconcile has watched that nobody works at the same time
	})
}

// A reconcile may have returned while a write of its own is still under way (R13).
func TestGroupHandsOverOnlyWhenTheWritesAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		const answered = 4 * time.Second
		began := make(chan time.Time, 1)
		a := c.start("a", func(ctx context.Context, _ Key) error {
			select {
			case began <- time.Now():
			default:
				return nil // it is enough to do it once
			}
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return send(ctx, &transport{delay: answered, body: "{}"}, http.MethodPatch)
		})
		c.eventually(firstStart, "it writes", func() bool { return len(began) == 1 })
		b := c.start("b", quick)
		c.eventually(2*time.Second, "it has given up", func() bool { return c.reconciles("a", "widgets/w") == 1 })
		c.stop(a)
		if took := time.Since(<-began); took < answered || took > answered+time.Second {
			t.Errorf("the shard was given away %s after the write was sent, want its answer, after %s", took, answered)
		}
		c.eventually(time.Second, "the other holds both", func() bool { return len(b.holds()) == 2 })
		c.stop(b)
	})
}

func TestGroupWorkThatIgnoresItsContextKeepsTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		release := make(chan struct{})
		a := c.start("a", func(context.Context, Key) error { <-release; return nil })
		c.eventually(firstStart, "it works", func() bool { return len(a.holds()) == 2 && len(c.working()) == 1 })
		a.leave()
		time.Sleep(a.opts.DrainTimeout)
		synctest.Wait()
		if err := a.Live(); err == nil || !strings.Contains(err.Error(), "widgets.example.com") {
			t.Errorf("Live says %v, want the shard that is stuck", err)
		}
		if err := <-a.result; !errors.Is(err, lease.ErrNotLeft) {
			t.Errorf("Run returned %v, want ErrNotLeft", err)
		}
		close(release)
	})
}

// Without an answer on its Leases a replica's terms end; what ignores that keeps
// the process from working for the shard again, and has to be told.
func TestGroupReportsWorkThatOutlivesItsValidity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		var cut atomic.Bool
		c.fault = func(ctx context.Context, _ string) error {
			if !cut.Load() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		release := make(chan struct{})
		a := c.start("a", func(context.Context, Key) error { <-release; return nil })
		c.eventually(firstStart, "it works", func() bool { return len(c.working()) == 1 })
		if err := errors.Join(a.Ready(), a.Live()); err != nil {
			t.Errorf("health before: %v", err)
		}
		cut.Store(true)
		c.eventually(lease.Fast.RenewDeadline, "its terms are over", func() bool { return len(a.holds()) == 0 })
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "session: not valid") {
			t.Errorf("Ready says %v, want that the session is not valid", err)
		}
		if err := a.Live(); err != nil {
			t.Errorf("Live says %v before the DrainTimeout", err)
		}
		time.Sleep(a.opts.DrainTimeout)
		if err := a.Live(); err == nil || !strings.Contains(err.Error(), "widgets.example.com") {
			t.Errorf("Live says %v, want the shard that is stuck", err)
		}
		cut.Store(false)
		close(release)
		c.eventually(firstStart, "it works again", func() bool { return c.reconciles("a", "widgets/w") > 1 })
		if err := errors.Join(a.Ready(), a.Live()); err != nil {
			t.Errorf("health after: %v", err)
		}
		c.stop(a)
	})
}

func TestGroupTheNextHolderWaitsForWhatTheLastOneWrote(t *testing.T) {
	const written = "7"
	for _, tc := range []struct {
		name  string
		shown bool
		want  time.Duration
	}{
		{"until its cache shows it", true, time.Second},
		{"and no longer than the patience", false, work.CarriedPatience},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, object(widgets, "w"))
				a := c.start("a", func(ctx context.Context, _ Key) error {
					term, _ := TermFrom(ctx)
					term.noteWrite("widgets.example.com", written)
					return nil
				})
				c.eventually(firstStart, "it has written", func() bool { return c.reconciles("a", "widgets/w") == 1 })
				b := c.start("b", quick)
				time.Sleep(100 * time.Millisecond)
				began := time.Now()
				c.stop(a)
				if tc.shown {
					time.AfterFunc(time.Second, func() {
						w := object(widgets, "w")
						w.SetResourceVersion(written)
						if _, err := c.objects.Resource(widgets).Namespace("ns").Update(t.Context(), w, metav1.UpdateOptions{}); err != nil {
							t.Error(err)
						}
					})
				}
				c.eventually(firstStart, "the next one reconciles", func() bool { return c.reconciles("b", "widgets/w") > 0 })
				if took := time.Since(began); took < tc.want || took > tc.want+200*time.Millisecond {
					t.Errorf("the next holder began after %s, want %s", took, tc.want)
				}
				c.stop(b)
			})
		})
	}
}

// A holder may go before it has seen to an object that ceased to be its own.
func TestGroupTheNextHolderReconcilesWhatCeasedToPassTheFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "other"))
		mine := func(u *informers.Object) bool { return u.GetLabels()["mine"] == "yes" }
		var seen sync.Map
		members := map[string]*member{}
		for _, name := range []string{"a", "b"} {
			m := c.prepare(name)
			err := m.Add(Controller{Resource: widgets, Filter: mine, Reconcile: func(ctx context.Context, key Key) (Result, error) {
				if name == "a" {
					<-ctx.Done() // gets nothing done
					return Result{}, ctx.Err()
				}
				seen.Store(key.Name, true)
				return Result{}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			m.run()
			members[name] = m
			c.eventually(firstStart, "the first holds the type, all are warm", func() bool { return len(members["a"].holds()) == 1 && m.Ready() == nil })
		}
		client := c.objects.Resource(widgets).Namespace("ns")
		w := object(widgets, "w")
		w.SetLabels(map[string]string{"mine": "yes"})
		if _, err := client.Create(t.Context(), w, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := client.Update(t.Context(), object(widgets, "w"), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.stop(members["a"])
		c.eventually(time.Second, "the next holder reconciles it", func() bool { _, ok := seen.Load("w"); return ok })
		if _, ok := seen.Load("other"); ok {
			t.Error("an object that never passed the filter was reconciled")
		}
		c.stop(members["b"])
	})
}

func TestGroupObservesOnEveryReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"))
		var mu sync.Mutex
		observed := map[string]int{}
		var members []*member
		for _, name := range []string{"a", "b"} {
			m := c.prepare(name)
			err := m.Add(Controller{
				Resource:  widgets,
				Reconcile: func(context.Context, Key) (Result, error) { return Result{}, nil },
				Observe: func(_ context.Context, key Key) {
					mu.Lock()
					defer mu.Unlock()
					observed[name+" "+key.Name]++
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			m.run()
			members = append(members, m)
		}
		count := func(of string) int { mu.Lock(); defer mu.Unlock(); return observed[of] }
		c.eventually(time.Second, "both observe what there is", func() bool { return count("a w") == 1 && count("b w") == 1 })
		if err := c.objects.Resource(widgets).Namespace("ns").Delete(t.Context(), "w", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		c.eventually(time.Second, "both observe its end", func() bool { return count("a w") == 2 && count("b w") == 2 })
		c.stop(members...)
	})
}

// working lists the objects that are being worked on.
func (c *cluster) working() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for object := range c.busy {
		all = append(all, object)
	}
	return all
}

func TestGroupFailuresAreRetriedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(widgets, "fine"))
		var mu sync.Mutex
		failures := 5
		a := c.start("a", func(_ context.Context, key Key) error {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case key.Name == "w" && failures > 3:
				failures--
				panic("out of order")
			case key.Name == "w" && failures > 0:
				failures--
				return errors.New("no paint")
			}
			return nil
		})
		c.eventually(firstStart, "the good one is reconciled beside the bad one", func() bool { return c.reconciles("a", "widgets/fine") == 1 })
		reported := func() string {
			return lease.DecodeMember(c.leases.Lease("g.member-" + a.driverBoot() + ".main")).Problems["widgets.example.com"]
		}
		c.eventually(10*time.Second, "the failure is in the member Lease", func() bool { return strings.Contains(reported(), "no paint") })
		c.eventually(time.Minute, "the bad one is reconciled in the end", func() bool { return c.reconciles("a", "widgets/w") == 1 })
		c.eventually(10*time.Second, "the failure is no longer reported", func() bool { return reported() == "" })
		c.stop(a)
	})
}

// driverBoot is the nonce in the name of the member Lease of a replica without
// a Pod.
func (m *member) driverBoot() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t := range m.tenures {
		if id, err := lease.ParseIdentity(t.term.Identity()); err == nil {
			return id.Boot
		}
	}
	return ""
}

func TestGroupRoleRunsOnOneReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		var mu sync.Mutex
		running, runs := 0, map[string]int{}
		a, b := c.prepare("a"), c.prepare("b")
		for _, m := range []*member{a, b} {
			err := m.AddRole(Role{Name: "nightly", Run: func(ctx context.Context) error {
				mu.Lock()
				running++
				runs[m.name]++
				first := len(runs) == 1 && runs[m.name] == 1
				if running > 1 {
					t.Error("the role runs twice")
				}
				mu.Unlock()
				defer func() { mu.Lock(); running--; mu.Unlock() }()
				if first {
					return errors.New("not yet") // is run again
				}
				<-ctx.Done()
				return ctx.Err()
			}})
			if err != nil {
				t.Fatal(err)
			}
			m.run()
		}
		var holder, other *member
		c.eventually(firstStart+5*time.Second, "the role runs for the second time", func() bool {
			mu.Lock()
			defer mu.Unlock()
			holder, other = a, b
			if runs["b"] > 0 {
				holder, other = b, a
			}
			return runs[holder.name] == 2
		})
		c.stop(holder)
		c.eventually(time.Second, "the other runs it", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return runs[other.name] == 1 && running == 1
		})
		c.stop(other)
	})
}

func TestGroupRefusesWhatCannotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		m := c.prepare("a")
		reconcile := func(context.Context, Key) (Result, error) { return Result{}, nil }
		run := func(context.Context) error { return nil }
		for _, tc := range []struct {
			name string
			err  error
			want string
		}{
			{"no reconcile", m.Add(Controller{Resource: widgets}), "reconcile: is required"},
			{"no version", m.Add(Controller{Resource: schema.GroupVersionResource{Resource: "widgets"}, Reconcile: reconcile}), "name group, version and resource"},
			{"workers", m.Add(Controller{Resource: widgets, Reconcile: reconcile, Workers: -1}), "workers: -1 is not allowed"},
			{"a watch without keys", m.Add(Controller{Resource: widgets, Reconcile: reconcile, Watches: []Watch{{Resource: gadgets}}}), "watches[0]"},
			{"fine", m.Add(Controller{Resource: widgets, Reconcile: reconcile}), ""},
			{"twice", m.Add(Controller{Resource: widgets, Reconcile: reconcile}), "there is one of this name"},
			{"role without run", m.AddRole(Role{Name: "nightly"}), "run: is required"},
			{"role with a bad name", m.AddRole(Role{Name: "Nightly!", Run: run}), `name: "Nightly!" is not allowed`},
			{"role", m.AddRole(Role{Name: "nightly", Run: run}), ""},
			{"role twice", m.AddRole(Role{Name: "nightly", Run: run}), "already"},
		} {
			if (tc.err == nil) != (tc.want == "") || tc.err != nil && !strings.Contains(tc.err.Error(), tc.want) {
				t.Errorf("%s: %v, want %q", tc.name, tc.err, tc.want)
			}
		}
		if err := m.Ready(); err == nil {
			t.Error("a group that was not started is ready")
		}
		m.run()
		c.eventually(firstStart, "it holds both", func() bool { return len(m.holds()) == 2 })
		c.stop(m)
		if err := m.Add(Controller{Name: "late", Resource: widgets, Reconcile: reconcile}); !errors.Is(err, errOver) {
			t.Errorf("adding after it has ended: %v", err)
		}
		if err := m.Run(t.Context()); err == nil {
			t.Error("a group runs twice")
		}
	})
}

func TestGroupARoleThatMovedAwayIsNoProblemAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRole(Role{Name: "nightly", Run: func(context.Context) error { return errors.New("no ink") }})
		tenure := newTenure(t.Context(), 1, lease.Term{Shard: "nightly"}, lease.NewValidity(lease.MonotonicClock()))
		time.AfterFunc(time.Minute, func() {
			if got := r.problems.summaries()[lease.Bucket{}]; !strings.Contains(got, "no ink") {
				t.Errorf("while it fails, the problem is %q", got)
			}
			tenure.end(ErrTermOver)
		})
		r.service.serve(tenure, 0, r.lead)
		if got := r.problems.summaries(); len(got) > 0 {
			t.Errorf("after the term, the problems are %q", got)
		}
	})
}

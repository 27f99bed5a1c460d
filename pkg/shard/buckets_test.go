// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/lease"
)

// uid is one that begins with these digits: with 0 to 3 it is in the first of
// four buckets, with c to f in the last.
func uid(digits string) types.UID {
	return types.UID((digits + "00000000")[:8] + "-0000-4000-8000-000000000000")
}

func withUID(o *unstructured.Unstructured, digits string) *unstructured.Unstructured {
	o.SetUID(uid(digits))
	return o
}

// divided is a cluster whose replicas reconcile widgets in buckets. A gadget
// concerns the widget that its label names.
type divided struct {
	*cluster
	by lease.Partition

	mu    sync.Mutex
	found map[string][]string // widget -> shards for which it was reconciled, in order
	fails map[string]bool     // widgets whose reconcile fails
	seen  map[string]int      // widget -> how often it was observed
}

func newDivided(t *testing.T, by lease.Partition, objects ...runtime.Object) *divided {
	return &divided{cluster: newCluster(t, objects...), by: by, found: map[string][]string{}, fails: map[string]bool{}, seen: map[string]int{}}
}

func (d *divided) start(name string, buckets int) *member {
	d.t.Helper()
	m := d.prepare(name)
	concerned := func(u *informers.Object) []Key {
		return []Key{{Namespace: u.GetNamespace(), Name: u.GetLabels()["of"]}}
	}
	err := m.Add(Controller{
		Resource: widgets, Buckets: buckets, Partition: d.by, Workers: 2,
		Watches: []Watch{{Resource: gadgets, Keys: concerned}},
		Observe: func(_ context.Context, key Key) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.seen[key.Name]++
		},
		Reconcile: func(ctx context.Context, key Key) (Result, error) {
			return Result{}, d.reconcile(ctx, name, key.Name, func() error { return d.find(ctx, key) })
		},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	m.run()
	return m
}

func (d *divided) find(ctx context.Context, key Key) error {
	term, _ := TermFrom(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	_, bucket := lease.ParseShardName(term.Shard())
	d.found[key.Name] = append(d.found[key.Name], bucket.String())
	if d.fails[key.Name] {
		return errors.New("no paint")
	}
	return nil
}

// buckets are those for which a widget was reconciled so far.
func (d *divided) buckets(name string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.found[name])
}

// forget begins to count anew, once all is at rest.
func (d *divided) forget() {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.found = map[string][]string{}
}

// expect waits until a widget was reconciled for a bucket, and fails the test if
// it was for another one.
func (d *divided) expect(name, bucket string) {
	d.t.Helper()
	d.eventually(time.Second, name+" is reconciled for "+bucket, func() bool { return slices.Contains(d.buckets(name), bucket) })
	synctest.Wait()
	for _, got := range d.buckets(name) {
		if got != bucket {
			d.t.Errorf("%s was reconciled for %v, want %s only", name, d.buckets(name), bucket)
		}
	}
}

func (d *divided) do(what string, err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatalf("%s: %v", what, err)
	}
}

func (d *divided) create(gvr schema.GroupVersionResource, o *unstructured.Unstructured) {
	d.t.Helper()
	_, err := d.objects.Resource(gvr).Namespace("ns").Create(d.t.Context(), o, metav1.CreateOptions{})
	d.do("create "+o.GetName(), err)
}

func (d *divided) update(gvr schema.GroupVersionResource, o *unstructured.Unstructured) {
	d.t.Helper()
	_, err := d.objects.Resource(gvr).Namespace("ns").Update(d.t.Context(), o, metav1.UpdateOptions{})
	d.do("update "+o.GetName(), err)
}

func (d *divided) delete(gvr schema.GroupVersionResource, name string) {
	d.t.Helper()
	d.do("delete "+name, d.objects.Resource(gvr).Namespace("ns").Delete(d.t.Context(), name, metav1.DeleteOptions{}))
}

// shared waits until so many shards are held, as many by each member.
func (d *divided) shared(shards int, members ...*member) {
	d.t.Helper()
	d.eventually(2*firstStart, fmt.Sprintf("%d shards are shared out", shards), func() bool {
		return !slices.ContainsFunc(members, func(m *member) bool { return len(m.holds()) != shards/len(members) })
	})
}

// sixteen widgets whose UIDs begin with their names.
func sixteen() []runtime.Object {
	var all []runtime.Object
	for i := range 16 {
		digit := fmt.Sprintf("%x", i)
		all = append(all, withUID(object(widgets, digit), digit))
	}
	return all
}

func TestGroupSharesOutTheBucketsOfAType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDivided(t, lease.ByUID, sixteen()...)
		a, b := d.start("a", 4), d.start("b", 4)
		d.shared(4, a, b)
		held := a.holds()
		maps.Copy(held, b.holds())
		for i := range 4 {
			if shard := fmt.Sprintf("widgets.example.com.%d-of-4", i); !held[shard] {
				t.Errorf("nobody holds %s: held are %v", shard, slices.Sorted(maps.Keys(held)))
			}
		}
		for i := range 16 {
			d.expect(fmt.Sprintf("%x", i), fmt.Sprintf("%d-of-4", i/4))
		}
		d.forget()
		for i := range 16 {
			digit := fmt.Sprintf("%x", i)
			changed := withUID(object(widgets, digit), digit)
			changed.SetLabels(map[string]string{"colour": "red"})
			d.update(widgets, changed)
			holder := a
			if b.holds()[fmt.Sprintf("widgets.example.com.%d-of-4", i/4)] {
				holder = b
			}
			before := d.reconciles(holder.name, digit)
			d.expect(digit, fmt.Sprintf("%d-of-4", i/4))
			if d.reconciles(holder.name, digit) == before && len(d.buckets(digit)) != 1 {
				t.Errorf("%s was not reconciled by %s, which holds its bucket, once: %v", digit, holder.name, d.buckets(digit))
			}
		}
		if d.seen["0"] < 4 {
			t.Errorf("a widget was observed %d times, want twice on each of both replicas", d.seen["0"])
		}
		d.stop(a, b)
	})
}

func TestGroupKeepsANameInItsBucketWhereThatIsThePartition(t *testing.T) {
	for _, by := range []lease.Partition{lease.ByKey, lease.ByNamespace} {
		t.Run(string(by), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDivided(t, by, withUID(object(widgets, "w"), "0"))
				a := d.start("a", 4)
				d.shared(4, a)
				bucket := bucketOf(by.Position("", "ns", "w"), 4)
				d.expect("w", bucket)
				d.delete(widgets, "w")
				d.create(widgets, withUID(object(widgets, "w"), "f"))
				d.expect("w", bucket)
				d.stop(a)
			})
		})
	}
}

func bucketOf(position uint32, n int) string {
	i := 0
	for !(lease.Bucket{Index: i, Of: n, By: lease.ByKey}).Contains(position) {
		i++
	}
	return lease.Bucket{Index: i, Of: n}.String()
}

func TestGroupANameThatIsUsedAgainGoesToTheNewObjectsBucket(t *testing.T) {
	for _, tc := range []struct {
		name  string
		again func(*divided)
	}{
		{"deleted and created", func(d *divided) {
			d.delete(widgets, "w")
			d.expect("w", "0-of-4") // for the one that went
			d.forget()
			d.create(widgets, withUID(object(widgets, "w"), "f"))
		}},
		{"while the watch was interrupted", func(d *divided) { d.update(widgets, withUID(object(widgets, "w"), "f")) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDivided(t, lease.ByUID, withUID(object(widgets, "w"), "0"))
				a := d.start("a", 4)
				d.shared(4, a)
				d.expect("w", "0-of-4")
				d.forget()
				tc.again(d)
				d.expect("w", "3-of-4")
				d.stop(a)
			})
		})
	}
}

// The watch was interrupted while an object was deleted and another made under its name: to the cache that is one update. It
// is an end and a beginning, each for its own bucket, whatever the controller thinks of updates.
func TestGroupAnUpdateWithAnotherUIDIsADeletionAndACreation(t *testing.T) {
	red := func(o *unstructured.Unstructured) *unstructured.Unstructured {
		o.SetLabels(map[string]string{"colour": "red"})
		return o
	}
	isRed := func(u *informers.Object) bool { return u.GetLabels()["colour"] == "red" }
	for _, tc := range []struct {
		name     string
		concerns func(from, to *informers.Object) bool
		from, to *unstructured.Unstructured
		want     string // where it is reconciled for that
	}{
		{"the next one is reconciled although no update concerns the controller", func(_, _ *informers.Object) bool { return false }, red(object(widgets, "w")), red(object(widgets, "w")), "3-of-4"},
		{"the next one is reconciled although the last one was not", nil, object(widgets, "w"), red(object(widgets, "w")), "3-of-4"},
		{"the end of the last one is reconciled although the next one is not", nil, red(object(widgets, "w")), object(widgets, "w"), "0-of-4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDivided(t, lease.ByUID, withUID(tc.from, "0"))
				m := d.prepare("a")
				d.do("add", m.Add(Controller{
					Resource: widgets, Buckets: 4, Filter: isRed, Concerns: tc.concerns,
					Reconcile: func(ctx context.Context, key Key) (Result, error) { return Result{}, d.find(ctx, key) },
				}))
				m.run()
				d.shared(4, m)
				d.forget()
				d.update(widgets, withUID(tc.to, "f"))
				d.expect("w", tc.want)
				d.stop(m)
			})
		})
	}
}

func TestGroupEventsOfAnotherTypeGoToTheBucketOfWhatTheyConcern(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDivided(t, lease.ByUID, withUID(object(widgets, "w"), "a"))
		a := d.start("a", 4)
		d.shared(4, a)
		concerns := func(name, of string) *unstructured.Unstructured {
			g := object(gadgets, name)
			g.SetLabels(map[string]string{"of": of})
			return g
		}
		d.expect("w", "2-of-4")
		d.forget()
		d.create(gadgets, concerns("g", "w"))
		d.expect("w", "2-of-4")
		d.delete(widgets, "w")
		d.expect("w", "2-of-4")
		d.forget()
		d.delete(gadgets, "g") // what it concerned is not there any more
		d.expect("w", "2-of-4")
		d.create(gadgets, concerns("g", "nobody")) // and this never was
		d.expect("nobody", bucketOf(lease.ByKey.Position("", "ns", "nobody"), 4))
		d.stop(a)
	})
}

func TestGroupReconcilesEverythingAnewInANewLayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDivided(t, lease.ByUID, sixteen()...)
		a := d.start("a", 2)
		d.shared(2, a)
		for i := range 16 {
			d.expect(fmt.Sprintf("%x", i), fmt.Sprintf("%d-of-2", i/8))
		}
		b := d.start("b", 4)
		d.shared(2, a, b) // the record says 2, and a knows no other number
		d.stop(a)
		d.shared(4, b)
		for i := range 16 {
			digit, last := fmt.Sprintf("%x", i), fmt.Sprintf("%d-of-4", i/4)
			d.eventually(time.Second, digit+" is reconciled for "+last, func() bool {
				all := d.buckets(digit)
				return all[len(all)-1] == last
			})
		}
		d.stop(b)
	})
}

func TestGroupReportsTheProblemsOfEachBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDivided(t, lease.ByUID, withUID(object(widgets, "low"), "0"), withUID(object(widgets, "high"), "f"))
		d.fails = map[string]bool{"low": true, "high": true}
		a := d.start("a", 2)
		problems := func(m *member) []string { return slices.Sorted(maps.Keys(m.current().controllers[0].failing())) }
		const low, high = "widgets.example.com.0-of-2", "widgets.example.com.1-of-2"
		d.eventually(firstStart, "both fail", func() bool { return slices.Equal(problems(a), []string{low, high}) })
		b := d.start("b", 2)
		d.shared(2, a, b)
		keeps, moved := low, high
		if a.holds()[high] {
			keeps, moved = high, low
		}
		d.eventually(time.Minute, "each reports its own", func() bool {
			return slices.Equal(problems(a), []string{keeps}) && slices.Equal(problems(b), []string{moved})
		})
		d.stop(a, b)
	})
}

func TestControllerCountsBusyTimePerShard(t *testing.T) {
	c := &controller{busy: map[string]time.Duration{}}
	c.wasBusy("w.0-of-2", time.Second)
	c.wasBusy("w.1-of-2", 2*time.Second)
	c.wasBusy("w.0-of-2", 3*time.Second)
	if got, want := c.takeBusy(), map[string]time.Duration{"w.0-of-2": 4 * time.Second, "w.1-of-2": 2 * time.Second}; !maps.Equal(got, want) {
		t.Errorf("busy for %v, want %v", got, want)
	}
	if got := c.takeBusy(); len(got) > 0 {
		t.Errorf("busy for %v since, want nothing", got)
	}
}

func TestGroupRefusesBucketsThatCannotBe(t *testing.T) {
	reconcile := func(context.Context, Key) (Result, error) { return Result{}, nil }
	of := func(name string, buckets int, by lease.Partition) Controller {
		return Controller{Name: name, Resource: widgets, Buckets: buckets, Partition: by, Reconcile: reconcile}
	}
	other := schema.GroupVersionResource{Group: "example.com.0-of-4", Version: "v1", Resource: "widgets"}
	for _, tc := range []struct {
		name string
		add  []Controller
		want string // of the last one's error; the others are fine
	}{
		{"too many", []Controller{of("a", 257, "")}, "buckets: 257 is not allowed: use 1 to 256"},
		{"less than none", []Controller{of("a", -1, "")}, "buckets: -1 is not allowed: use 1 to 256"},
		{"an unknown partition", []Controller{of("a", 2, "moon")}, `partition: "moon" is not allowed: use one of ["uid" "key" "namespace"]`},
		{"as many", []Controller{of("a", 4, ""), of("b", 4, lease.ByUID)}, ""},
		{"one is none", []Controller{of("a", 1, lease.ByKey), of("b", 0, "")}, ""},
		{"not as many", []Controller{of("a", 4, ""), of("b", 8, "")}, `buckets, partition: 8, uid are not those of controller "a" of widgets.example.com, 4, uid`},
		{"only one of two", []Controller{of("a", 4, ""), of("b", 0, "")}, `buckets, partition: 1, uid are not those of controller "a"`},
		{"another partition", []Controller{of("a", 4, ""), of("b", 4, lease.ByKey)}, `buckets, partition: 4, key are not those of controller "a"`},
		{"a type with a bucket's name", []Controller{{Resource: other, Reconcile: reconcile}}, "widgets.example.com.0-of-4 is what a bucket of another type's shard would be called"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newCluster(t).prepare("a")
			var err error
			for i, c := range tc.add {
				if err = m.Add(c); err != nil && i < len(tc.add)-1 {
					t.Fatal(err)
				}
			}
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	err := newCluster(t).prepare("a").AddRole(Role{Name: "nightly.0-of-4", Run: func(context.Context) error { return nil }})
	if err == nil || !strings.Contains(err.Error(), `name: "nightly.0-of-4" is not allowed`) {
		t.Errorf("a role with a bucket's name: %v", err)
	}
}

func TestGroupRefusesMoreShardsThanItIsMadeFor(t *testing.T) {
	m := newCluster(t).prepare("a")
	add := func(resource string, buckets int) error {
		return m.Add(Controller{
			Name: resource, Resource: schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: resource}, Buckets: buckets,
			Reconcile: func(context.Context, Key) (Result, error) { return Result{}, nil },
		})
	}
	for i, buckets := range []int{256, 256, 256, 231, 0} { // 0 is one, which makes 1000
		if err := add(fmt.Sprintf("things%d", i), buckets); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Add(Controller{Name: "another", Resource: m.current().controllers[0].Resource, Buckets: 256, Reconcile: m.current().controllers[0].Reconcile}); err != nil {
		t.Errorf("another controller of the same shards is refused: %v", err)
	}
	for _, buckets := range []int{1, 256} {
		err := add("more", buckets)
		want := fmt.Sprintf(`controller "more": buckets: %d is not allowed: the types would have %d shards in all: use fewer buckets`, buckets, 1000+buckets)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

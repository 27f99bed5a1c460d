// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// looks are those of a span of time, each with a load in thousandths of a worker, and returns the values that were
// published one after the other, the one at the beginning not counted.
func (l *load) looks(span time.Duration, thousandths func(look int) int64) (changes []int64) {
	for i := range int(span / loadInterval) {
		before := l.published
		l.add(time.Duration(thousandths(i))*loadInterval/1000, loadInterval)
		if l.published != before {
			changes = append(changes, l.published)
		}
	}
	return changes
}

func steady(thousandths int64) func(int) int64 { return func(int) int64 { return thousandths } }

// measured is a load that has been published for long.
func measured(t *testing.T, thousandths int64) *load {
	t.Helper()
	l := &load{}
	l.begin(1, 0)
	l.looks(10*loadHalfLife, steady(thousandths))
	if off := l.published - thousandths; off < -loadStep/2 || off > loadStep/2 {
		t.Fatalf("after ten minutes of a load of %d, %d is published", thousandths, l.published)
	}
	return l
}

func TestConstantLoadIsPublishedOnce(t *testing.T) {
	for _, constant := range []int64{60, 100, 330, 1000, 12_345} {
		l := &load{}
		l.begin(1, 0)
		changes := l.looks(time.Hour, steady(constant))
		if len(changes) != 1 || changes[0] < constant-loadStep/2 || changes[0] > constant+loadStep/2 {
			t.Errorf("a constant load of %d was published as %v, want one value within %d of it", constant, changes, loadStep/2)
		}
	}
}

func TestNoiseIsNotPublished(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, mean := range []int64{150, 400, 1000, 8000} {
		l := measured(t, mean)
		noise := func(int) int64 { return mean + int64((random.Float64()*0.4-0.2)*float64(mean)) }
		if changes := l.looks(24*time.Hour, noise); len(changes) > 0 {
			t.Errorf("a load of %d, give or take a fifth, was published anew: %v", mean, changes)
		}
	}
}

func TestLoadFollowsAStepInFewSteps(t *testing.T) {
	for _, step := range []struct{ from, to int64 }{{200, 2000}, {2000, 200}, {1000, 4000}, {100, 150}} {
		l := measured(t, step.from)
		changes := l.looks(10*time.Minute, steady(step.to))
		if len(changes) > 5 {
			t.Errorf("a step from %d to %d was published as %v, want 5 values at most", step.from, step.to, changes)
		}
		if off := max(l.published-step.to, step.to-l.published); off > loadStep && off > step.to/3 {
			t.Errorf("ten minutes after a step from %d to %d, %d is published", step.from, step.to, l.published)
		}
	}
}

func TestShardThatBecomesIdleHasNoLoad(t *testing.T) {
	for _, before := range []int64{100, 1000, 8000} {
		l := measured(t, before)
		l.looks(15*time.Minute, steady(0))
		if l.published != 0 {
			t.Errorf("a quarter of an hour after the end of a load of %d, %d is published, want 0", before, l.published)
		}
	}
}

// A shard that moves is as heavy as before, although all of its objects are reconciled at once.
func TestLoadSurvivesAMove(t *testing.T) {
	l := &load{}
	l.begin(1, 800)
	promotion := func(look int) int64 {
		if look < loadSettling {
			return 4000
		}
		return 800
	}
	if changes := l.looks(time.Hour, promotion); len(changes) > 0 || l.published != 800 {
		t.Errorf("a shard that came with a load of 800 published %v, want 800 all the time", changes)
	}
}

func TestLoadsAreThoseOfTheTermsThatAreHeld(t *testing.T) {
	all := loads{}
	busy := map[string]time.Duration{"a": loadInterval, "gone": loadInterval}
	look := func(held ...heldShard) map[string]int64 { return all.look(held, busy, loadInterval) }
	repeat := func(held ...heldShard) (last map[string]int64) {
		for range 20 {
			last = look(held...)
		}
		return last
	}
	for _, step := range []struct {
		name string
		got  map[string]int64
		want map[string]int64
	}{
		{"a shard that comes with a load has that at once", look(heldShard{"a", 1, 300}), map[string]int64{"a": 300}},
		{"later it has what was measured", repeat(heldShard{"a", 1, 300}), map[string]int64{"a": 750}},
		{"an idle one is left out", look(heldShard{"a", 1, 300}, heldShard{"idle", 2, 0}), map[string]int64{"a": 750}},
		{"and so is one that is not held", look(heldShard{"idle", 2, 0}), map[string]int64{}},
		{"one that comes back with nothing has what was measured here", look(heldShard{"a", 3, 0}), map[string]int64{"a": 750}},
		{"one that was measured elsewhere has that", look(heldShard{"a", 4, 500}), map[string]int64{"a": 500}},
		{"an older term that drains still changes nothing", look(heldShard{"a", 4, 500}, heldShard{"a", 3, 0}), map[string]int64{"a": 500}},
		{"one that came with a load and is idle says so", repeat(heldShard{"b", 5, 100}), map[string]int64{"b": 0}},
	} {
		if !maps.Equal(step.got, step.want) {
			t.Errorf("%s: published %v, want %v", step.name, step.got, step.want)
		}
	}
}

// All that is published can be read, and is of the heaviest.
func TestLoadsOfTooManyShardsAreLeftOut(t *testing.T) {
	for _, test := range []struct {
		name         string
		shards       int
		suffix       string
		least, limit int // of those that are published
	}{
		{"a few", 3, "", 3, 3},
		{"as many as a group is made for", 1000, ".widgets.example.com.255-of-256", 1000, 1000},
		{"more than that", 3000, "", 1000, 1000},
		{"of long names", 1000, strings.Repeat("x", 250), 200, 999},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := func(i int) string { return fmt.Sprintf("%04d%s", i, test.suffix) }
			all := map[string]int64{}
			for i := range test.shards {
				all[name(i)] = int64(loadStep * (i % 500)) // some are as heavy as others
			}
			told := heaviest(maps.Clone(all))
			if len(told) < test.least || len(told) > test.limit {
				t.Errorf("of %d loads %d are published, want %d to %d", test.shards, len(told), test.least, test.limit)
			}
			lightest := slices.Min(slices.Collect(maps.Values(told)))
			for shard, load := range all {
				if _, ok := told[shard]; !ok && load > lightest {
					t.Errorf("the load %d is left out, although one of %d is published", load, lightest)
				}
			}
			raw, err := json.Marshal(told)
			if err != nil {
				t.Fatal(err)
			}
			record := lease.DecodeMember(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{lease.AnnotationLoad: string(raw)}}})
			if !maps.Equal(record.Load, told) {
				t.Errorf("the others read %d of the %d loads that are published", len(record.Load), len(told))
			}
		})
	}
}

func TestMemberLeaseTellsTheLoadOfBusyShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(gadgets, "g"))
		m := c.prepare("a")
		busy := func(_ context.Context, _ Key) (Result, error) {
			time.Sleep(500 * time.Millisecond)
			return Result{RequeueAfter: 500 * time.Millisecond}, nil
		}
		idle := func(context.Context, Key) (Result, error) { return Result{}, nil }
		for _, controller := range []Controller{{Resource: widgets, Reconcile: busy}, {Resource: gadgets, Reconcile: idle}} {
			if err := m.Add(controller); err != nil {
				t.Fatal(err)
			}
		}
		m.run()
		time.Sleep(5 * time.Minute)
		list, err := c.leases.Client("reader", nil).List(t.Context(), metav1.ListOptions{LabelSelector: lease.LabelKind + "=" + lease.KindMember})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 1 {
			t.Fatalf("there are %d member Leases, want 1", len(list.Items))
		}
		if got, want := lease.DecodeMember(&list.Items[0]).Load, map[string]int64{"widgets.example.com": 500}; !maps.Equal(got, want) {
			t.Errorf("the member Lease tells the load %v, want %v", got, want)
		}
		c.stop(m)
	})
}

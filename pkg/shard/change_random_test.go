// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/pkg/informers"
)

// Everything at random times: changes of objects and of the number of buckets, controllers that are replaced, removed and
// added, replicas that come, go and are cut off. What is scheduled first is not the seed's matter, so one is not quite
// one history.
func TestApplyAtRandom(t *testing.T) {
	for i := range uint64(30) {
		seed := i + 1
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { applyAtRandom(t, rand.New(rand.NewPCG(seed, 6))) })
		})
	}
}

type versioned struct {
	*member
	version int
	removed bool
}

func applyAtRandom(t *testing.T, rnd *rand.Rand) {
	c := newCluster(t)
	var cut atomic.Pointer[string]
	c.fault = func(_ context.Context, replica string) error {
		if who := cut.Load(); who != nil && *who == replica {
			return errors.New("cut off")
		}
		return nil
	}
	var made, done atomic.Int32
	var seen [20]atomic.Int64 // newest generation that was reconciled of each object, by the version in force
	generation := [20]int64{}
	var open atomic.Int32
	make1 := func(name string, buckets int) Controller {
		var over atomic.Bool
		one := c.works(name, widgets, func(ctx context.Context, key Key) error {
			if over.Load() {
				t.Errorf("%s reconciles after Done", name)
			}
			var i int
			fmt.Sscan(key.Name[1:], &i)
			if rand.IntN(10) == 0 {
				select {
				case <-ctx.Done():
					term, _ := TermFrom(ctx)
					for range rand.IntN(150) { // others may begin once it is over
						if !term.Valid() {
							break
						}
						time.Sleep(10 * time.Millisecond)
					}
					return ctx.Err()
				case <-time.After(time.Duration(rand.IntN(2000)) * time.Millisecond):
				}
			}
			u, err := c.objects.Resource(widgets).Namespace("ns").Get(context.Background(), key.Name, metav1.GetOptions{})
			if err == nil { // else it is gone
				seen[i].Store(max(seen[i].Load(), u.GetGeneration()))
			}
			return nil
		})
		one.Buckets, one.Partition = buckets, "key"
		one.Filter = func(*informers.Object) bool { return true }
		if rnd.IntN(2) == 0 {
			one.Watches = []Watch{{Resource: gadgets, Keys: keysOfNothing}}
		}
		one.Done = func() {
			if over.Swap(true) {
				t.Errorf("Done of %s is called twice", name)
			}
			done.Add(1)
			open.Add(-1)
		}
		made.Add(1)
		open.Add(1)
		return one
	}
	buckets := 1
	var members []*versioned
	number := 0
	start := func() {
		number++
		m := &versioned{member: c.prepare(fmt.Sprintf("m%d", number))}
		if err := m.Add(make1(m.name+"-0", buckets)); err != nil {
			t.Fatal(err)
		}
		m.run()
		members = append(members, m)
	}
	start()
	start()
	for range 150 {
		time.Sleep(time.Duration(rnd.IntN(800)) * time.Millisecond)
		switch rnd.IntN(9) {
		case 0, 1, 2:
			i := rnd.IntN(len(generation))
			generation[i]++
			u := object(widgets, fmt.Sprintf("w%d", i))
			u.SetGeneration(generation[i])
			u.SetResourceVersion(fmt.Sprint(time.Now().UnixMilli() - 946684800000))
			var err error
			if generation[i] == 1 {
				_, err = c.objects.Resource(widgets).Namespace("ns").Create(t.Context(), u, metav1.CreateOptions{})
			} else {
				_, err = c.objects.Resource(widgets).Namespace("ns").Update(t.Context(), u, metav1.UpdateOptions{})
			}
			if err != nil {
				t.Fatal(err)
			}
		case 3, 4, 5:
			m := members[rnd.IntN(len(members))]
			change := Change{}
			if !m.removed {
				change.RemoveControllers = []ControllerName{nameOf(widgets)}
			}
			if rnd.IntN(5) == 0 && !m.removed {
				m.removed = true
			} else {
				m.removed = false
				m.version++
				change.AddControllers = []Controller{make1(fmt.Sprintf("%s-%d", m.name, m.version), buckets)}
			}
			if err := m.Apply(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		case 6:
			if len(members) < 4 {
				start()
			} else {
				cut.Store(nil)
				time.Sleep(5 * time.Second)
				i := rnd.IntN(len(members))
				c.stop(members[i].member)
				members = append(members[:i], members[i+1:]...)
			}
		case 8:
			if cut.Load() != nil {
				cut.Store(nil)
			} else if rnd.IntN(3) == 0 {
				cut.Store(&members[rnd.IntN(len(members))].name)
			}
		case 7:
			if rnd.IntN(3) == 0 {
				buckets = 1 + rnd.IntN(4)
			}
		}
	}
	cut.Store(nil)
	for _, m := range members {
		change := Change{AddControllers: []Controller{make1(m.name+"-last", buckets)}}
		if !m.removed {
			change.RemoveControllers = []ControllerName{nameOf(widgets)}
		}
		if err := m.Apply(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(60 * time.Second)
	for i := range generation {
		if got := seen[i].Load(); got != generation[i] {
			t.Errorf("object %d is at generation %d, reconciled at %d", i, generation[i], got)
		}
	}
	shards := 0
	for _, m := range members {
		shards += len(m.holds())
		if err := m.Live(); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if err := m.Ready(); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	if shards != buckets {
		t.Errorf("%d shards are held, of %d", shards, buckets)
	}
	if n := open.Load(); int(n) != len(members) {
		t.Errorf("%d controllers are not done with, for %d replicas", n, len(members))
	}
	for _, m := range members {
		c.stop(m.member)
	}
	if made.Load() != done.Load() {
		t.Errorf("%d were made, and Done was called of %d", made.Load(), done.Load())
	}
}

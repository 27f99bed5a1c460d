// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"slices"
	"testing"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/lease"
)

// A change names the keys of the object before and after it. One that both name is queued
// once: had it been taken before it is named again, it would be reconciled twice for nothing.
func TestChangeOfAnotherTypeQueuesEachKeyOnce(t *testing.T) {
	before, after := &informers.Object{}, &informers.Object{}
	named := map[*informers.Object][]Key{before: {{Name: "left"}, {Name: "stays"}}, after: {{Name: "stays"}, {Name: "came"}}}
	c := &controller{queues: map[work.Term]*queue{}}
	term := work.Term{Number: 1}
	c.list.Begin(term)
	q := newQueue("test", defaultMinBackoff, defaultMaxBackoff)
	defer q.close()
	defer q.ShutDown()
	c.queues[term] = q
	taken := func() (all []string) {
		for q.Len() > 0 {
			key, _ := q.Get()
			all = append(all, key.Name)
			q.Done(key)
		}
		return all
	}
	asked := 0
	events := c.otherEvents(func(o *informers.Object) []Key {
		if asked++; asked == 2 { // what was named first has been reconciled before the other object is asked about
			if got := taken(); !slices.Equal(got, []string{"stays", "came"}) {
				t.Errorf("queued for what the object is now: %v", got)
			}
		}
		return named[o]
	})
	events.OnUpdate(before, after)
	if got := taken(); !slices.Equal(got, []string{"left"}) {
		t.Errorf("queued for what the object was: %v, want what it does not concern any more", got)
	}
	events.OnUpdate(after, after)
	if got := taken(); !slices.Equal(got, []string{"stays", "came"}) {
		t.Errorf("queued for an object that concerns the same: %v", got)
	}
}

func TestKeysOfAnUndividedTypeAreQueuedByName(t *testing.T) {
	for _, divided := range []bool{false, true} {
		c := &controller{}
		if divided {
			c.list.Begin(work.Term{Number: 1, Bucket: lease.Bucket{Index: 0, Of: 2, By: lease.ByKey}})
		}
		if c.enqueueUndivided(Key{Name: "w"}) == divided {
			t.Errorf("a type that is divided (%t) goes by the names of keys: %t", divided, !divided)
		}
	}
}

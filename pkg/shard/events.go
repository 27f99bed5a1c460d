// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/informers"
)

// ownEvents are those of the objects that the controller reconciles: each goes to
// the term that has the object's bucket, if that is held here.
func (c *controller) ownEvents() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if o := objectIn(obj); o != nil {
				c.added(o)
			}
		},
		UpdateFunc: func(old, obj any) {
			from, to := objectIn(old), objectIn(obj)
			switch {
			case from == nil || to == nil:
			case from.GetUID() == to.GetUID():
				c.updated(from, to)
			default: // the watch was interrupted, and has missed that one object went
				c.deleted(from)
				c.added(to)
			}
		},
		DeleteFunc: func(obj any) {
			if o := objectIn(obj); o != nil {
				c.deleted(o)
			}
		},
	}
}

// otherEvents are those of another type's objects, which name keys.
func (c *controller) otherEvents(keys func(*informers.Object) []Key) cache.ResourceEventHandler {
	named := func(obj any) []Key {
		if o := objectIn(obj); o != nil {
			return keys(o)
		}
		return nil
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { c.enqueueKeys(named(obj)) },
		UpdateFunc: func(old, obj any) {
			now := named(obj)
			c.enqueueKeys(now)
			c.enqueueKeys(without(named(old), now)) // it may concern another object than before
		},
		DeleteFunc: func(obj any) { c.enqueueKeys(named(obj)) },
	}
}

// without are the keys that are not among others. One that was added twice could be
// reconciled twice, because workers take the first while the second is on its way.
func without(keys, others []Key) []Key {
	if slices.Equal(keys, others) { // as a rule, and there may be very many
		return nil
	}
	among := sets.New(others...)
	return slices.DeleteFunc(slices.Clone(keys), among.Has)
}

// objectIn is the object that an event is about, nil if there is none in it.
func objectIn(event any) *informers.Object {
	if gone, ok := event.(cache.DeletedFinalStateUnknown); ok {
		event = gone.Obj
	}
	o, _ := event.(*informers.Object)
	return o
}

func (c *controller) passes(o *informers.Object) bool { return c.Filter == nil || c.Filter(o) }

func (c *controller) added(o *informers.Object) {
	c.observe(o)
	if c.passes(o) {
		c.enqueue(objectOf(o))
	}
}

func (c *controller) updated(from, to *informers.Object) {
	c.observe(to)
	if !c.concerns(from, to) {
		return
	}
	if !c.passes(to) {
		c.departed(objectOf(to))
	}
	c.enqueue(objectOf(to))
}

func (c *controller) deleted(o *informers.Object) {
	c.observe(o)
	if c.passes(o) {
		c.departed(objectOf(o))
		c.enqueue(objectOf(o))
	}
}

func (c *controller) observe(o *informers.Object) {
	if c.seen != nil {
		c.seen.add(keyOf(o))
	}
}

func (c *controller) concerns(from, to *informers.Object) bool {
	if c.Concerns != nil {
		return c.Concerns(from, to)
	}
	return c.passes(from) || c.passes(to)
}

// enqueueKeys adds the objects that keys name.
func (c *controller) enqueueKeys(keys []Key) {
	for _, key := range keys {
		if !c.enqueueUndivided(key) {
			c.enqueue(c.meant(key))
		}
	}
}

// enqueueUndivided adds a key, unless it matters what object that names.
func (c *controller) enqueueUndivided(key Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list.Divided() {
		return false
	}
	c.add(work.Object[Key]{Key: key})
	return true
}

// meant is the object that a key names: the one in the cache, or the one that was
// there last.
func (c *controller) meant(key Key) work.Object[Key] {
	if o, ok := c.own.Get(key.Namespace, key.Name); ok {
		return objectOf(o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list.Remembered(key)
}

// departed notes that an object is not one to be reconciled any more.
func (c *controller) departed(o work.Object[Key]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list.Departed(time.Now(), o)
}

// enqueue adds an object.
func (c *controller) enqueue(o work.Object[Key]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(o)
}

// add adds an object to the queue of the term that takes it, if one does; c.mu is held.
func (c *controller) add(o work.Object[Key]) {
	if t, ok := c.list.Taker(o); ok {
		c.queues[t].Add(o.Key)
	}
}

func keyOf(o *informers.Object) Key {
	return Key{Namespace: o.GetNamespace(), Name: o.GetName()}
}

func objectOf(o *informers.Object) work.Object[Key] {
	return work.Object[Key]{Key: keyOf(o), UID: o.GetUID()}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/lease"
)

// termKey tells the terms of one process apart.
type termKey struct {
	shard string
	uid   types.UID
	epoch int32
}

func keyOf(t lease.Term) termKey { return termKey{t.Shard, t.UID, t.Epoch} }

const (
	// workers is how many keys one term reconciles at a time.
	workers = 2
	// drainGrace is how long reconciles go on after a shard is to be handed over,
	// before their contexts are cancelled.
	drainGrace = 300 * time.Millisecond
	// drainTimeout is for how long a write without an answer keeps a shard.
	drainTimeout = 3 * time.Second
	// heldUpPause is how long a key waits that must not be reconciled just now.
	heldUpPause = 50 * time.Millisecond
	// minBackoff and maxBackoff bound the wait after a failed reconcile.
	minBackoff, maxBackoff = 50 * time.Millisecond, time.Second
)

// controller is the work of one process for the objects of one family, in all of
// its terms: what pkg/shard is around the list that ships.
type controller struct {
	in   *informer
	list work.List[objectKey]
	// tenures are the terms that began to take keys, and whose work has not ended.
	tenures map[work.Term]*tenure
	waiting []*tenure // for their caches
	running []*reconcile
}

// objectKey is what a list knows an object by.
type objectKey string

// Parts makes it a [work.Key].
func (k objectKey) Parts() (namespace, name string) { return "", string(k) }

// named is an object as a list knows it.
func named(o object) work.Object[objectKey] {
	return work.Object[objectKey]{Key: objectKey(o.key)}
}

// control makes the controllers of a process, one for each family with objects.
func (r *Replica) control() {
	for _, of := range r.w.objects {
		c := &controller{tenures: map[work.Term]*tenure{}}
		c.in = &informer{r: r, of: of, chance: r.w.newObjectSource(), cache: map[string]object{}}
		c.in.departed = func(o object) { c.list.Departed(r.local(), named(o)) }
		c.in.changed = c.changed
		of.informers = append(of.informers, c.in)
		r.controllers[of.resource] = c
		c.in.connect(true)
	}
}

// local is the clock of the process as the work sees it.
func (r *Replica) local() time.Time { return time.Unix(0, int64(r.now())) }

// changed queues an object that something happened to, for the term that takes
// it.
func (c *controller) changed(o object) {
	if t, ok := c.list.Taker(named(o)); ok {
		c.tenures[t].queue.Add(o.key)
		c.tenures[t].dispatch()
	}
	for _, waiting := range slices.Clone(c.waiting) {
		waiting.promote()
	}
}

// cached are all objects that the cache has, in the order of their keys.
func (c *controller) cached() []work.Object[objectKey] {
	var all []work.Object[objectKey]
	for _, key := range c.in.keys() {
		all = append(all, named(c.in.cache[key]))
	}
	return all
}

// beginWork begins the work of a term.
func (r *Replica) beginWork(t lease.Term) {
	r.Work[keyOf(t)] = false
	r.granted++
	w := &tenure{r: r, c: r.controllers[t.Family], held: r.Terms[t.Shard], granted: r.local()}
	w.id = work.Term{Number: r.granted, Bucket: t.Bucket}
	r.tenures[keyOf(t)] = w
	if r.w.scheduled(t.Family) {
		w.beginDuty()
		return
	}
	w.keepRecords()
	if w.c == nil {
		return
	}
	w.failures = map[string]int{}
	w.queue = workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[string]{Queue: &w.lanes})
	w.c.waiting = append(w.c.waiting, w)
	w.watchValidity()
	w.promote()
	r.at(r.now().Add(work.CarriedPatience), w.promote)
}

// endWork tells the work of a term to end, which takes it a while: gracefully,
// or because the term is over.
func (r *Replica) endWork(t lease.Term, graceful bool) {
	w := r.tenures[keyOf(t)]
	if w == nil {
		return
	}
	if w.duty != nil {
		r.Work[keyOf(t)] = true
		r.after(0, func() { w.duty.drain(graceful) })
		return
	}
	if !graceful {
		w.end()
	} else if w.stop() {
		r.after(drainGrace, w.cancel)
	}
	if !r.Work[keyOf(t)] {
		r.Work[keyOf(t)] = true
		r.after(r.w.Faults.WorkReturns.draw(r.process.rng), w.endRole)
	}
}

// quitWork ends the work of a term although nobody has told it to.
func (r *Replica) quitWork(t lease.Term) {
	if told, goesOn := r.Work[keyOf(t)]; goesOn && !told {
		r.Work[keyOf(t)] = true
		if w := r.tenures[keyOf(t)]; w.duty != nil {
			w.duty.drain(false)
		} else {
			w.end()
			w.endRole()
		}
	}
}

// ending tells whether any work has been told to end and has not.
func (r *Replica) ending() bool {
	for _, told := range r.Work {
		if told {
			return true
		}
	}
	return false
}

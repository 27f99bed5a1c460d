// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/work"
)

// heldUpPause is how long a key waits that must not be reconciled just now.
const heldUpPause = 50 * time.Millisecond

// lead works for the shard until the tenure takes no more keys, and returns
// once the last reconcile has.
func (c *controller) lead(t *stint) {
	q := newQueue(c.queueName(), c.MinBackoff, c.MaxBackoff)
	c.begin(t, q)
	var workers errgroup.Group
	for range c.Workers {
		workers.Go(func() error {
			c.workLoop(t, q)
			return nil
		})
	}
	<-t.taking.Done()
	c.end(t, q)
	_ = workers.Wait()
	q.close()
	c.problems.clear(t.id)
}

// begin makes the queue take what changes in the tenure's bucket, and fills it
// with what may have changed while nobody of this process looked.
func (c *controller) begin(t *stint, q *queue) {
	c.mu.Lock()
	c.heed(t)
	begun := c.list.Begin(t.id)
	if begun {
		c.queues[t.id] = q
	}
	c.mu.Unlock()
	if !begun {
		return
	}
	var cached []work.Object[Key]
	for _, u := range c.own.List(metav1.NamespaceAll, nil) { // no lock of ours may be held while the cache takes its own
		if c.passes(u) {
			cached = append(cached, objectOf(u))
		}
	}
	c.mu.Lock()
	keys := c.list.Backlog(t.id, time.Now(), cached)
	c.mu.Unlock()
	q.addBacklog(keys)
	if len(keys) == 0 {
		t.working() // as soon as anything happens
	}
}

// end stops the queue, and returns when the term has nothing left that runs.
func (c *controller) end(t *stint, q *queue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list.Stop(t.id)
	q.ShutDown()
	for !c.list.Idle(t.id) {
		c.returned.Wait()
	}
	delete(c.queues, t.id)
}

func (c *controller) workLoop(t *stint, q *queue) {
	for {
		key, shutdown := q.Get()
		if shutdown {
			return
		}
		c.process(t, q, key)
		q.Done(key)
	}
}

// process reconciles one key, if it may be now, and sees to what comes next.
func (c *controller) process(t *stint, q *queue, key Key) {
	switch c.start(t, key) {
	case work.Reconcile:
	case work.Wait:
		q.AddAfter(key, heldUpPause)
		return
	default:
		q.Forget(key)
		c.problems.dropped(t.id, key)
		return
	}
	t.working()
	next, result, took, err := c.reconcile(t, key)
	switch next {
	case work.Forget:
		c.succeeded().Observe(took.Seconds())
		c.problems.solved(key)
		q.Forget(key)
		if result.RequeueAfter > 0 {
			q.AddAfter(key, result.RequeueAfter)
		}
	case work.Retry:
		c.failed(t, q, key, result, err, took)
	default:
		c.metrics.reconciled(c.family, c.Name, "term over", took)
	}
}

// heed tells the list that the tenure takes no more keys, if it was told so a
// moment ago and lead has not got to that; c.mu is held.
func (c *controller) heed(t *stint) {
	if t.taking.Err() != nil {
		c.list.Stop(t.id)
	}
}

// start asks the list about a key that is next.
func (c *controller) start(t *stint, key Key) work.Decision {
	now := work.Conditions{Valid: t.term.Valid(), Synced: c.synced()}
	o := work.Object[Key]{Key: key}
	if t.id.Bucket.Of > 1 { // else the key is of this bucket whatever it names
		if named, ok := c.own.Get(key.Namespace, key.Name); ok && c.passes(named) {
			o.UID = named.GetUID()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heed(t)
	return c.list.Start(t.id, o, now)
}

// reconcile turns a panic into an error: one bad object must not end the work
// on all others.
func (c *controller) reconcile(t *stint, key Key) (next work.Decision, result Result, took time.Duration, err error) {
	began := time.Now()
	defer func() { // also if it ends its goroutine
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in reconcile of %s: %v\n%s", key, p, debug.Stack())
		}
		took = time.Since(began)
		next = c.finish(t, key, took, err)
	}()
	result, err = c.Reconcile(t.ctx, key)
	return next, result, took, err
}

// finish asks the list about a key whose reconcile has returned.
func (c *controller) finish(t *stint, key Key, took time.Duration, err error) work.Decision {
	outcome := work.Succeeded
	switch {
	case t.ctx.Err() != nil:
		outcome = work.Interrupted
	case err != nil:
		outcome = work.Failed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wasBusy(t.term.Shard(), took)
	c.returned.Broadcast()
	return c.list.Finish(t.id, key, outcome)
}

// failed puts a key back whose reconcile failed.
func (c *controller) failed(t *stint, q *queue, key Key, result Result, err error, took time.Duration) {
	log := klog.FromContext(t.ctx).WithValues("controller", c.Name, "key", key)
	if apierrors.IsConflict(err) {
		// The cache lags behind; that is no problem anybody should look at.
		c.metrics.reconciled(c.family, c.Name, "conflict", took)
		log.V(2).Info("Reconcile met a newer object", "err", err)
		q.AddRateLimited(key)
		return
	}
	c.metrics.reconciled(c.family, c.Name, "error", took)
	c.problems.add(t.id, key, err)
	if result.RequeueAfter > 0 {
		log.Info("Reconcile asked to be tried again later", "after", result.RequeueAfter, "err", err)
		q.AddAfter(key, result.RequeueAfter)
		return
	}
	log.Error(err, "Reconcile failed", "failures", q.NumRequeues(key)+1)
	q.AddRateLimited(key)
}

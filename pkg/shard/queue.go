// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/shardctl/shardctl/internal/instrument"
	"github.com/shardctl/shardctl/internal/work"
)

// Key names an object: its namespace, empty for cluster-scoped ones, and name.
type Key = cache.ObjectName

// queue is the work queue of one controller in one term: client-go's, with two
// lanes. Keys that are there only because the shard was promoted wait behind
// those that something happened to.
type queue struct {
	workqueue.TypedRateLimitingInterface[Key]
	lanes *lanes
	// close is called once the queue was shut down and nobody takes keys any more: what
	// is left in it is not to be measured.
	close func()
}

// newQueue makes a queue that is measured under a name, which all queues of a controller
// share.
func newQueue(name string, minBackoff, maxBackoff time.Duration) *queue {
	l := &lanes{}
	measure, closed := instrument.OpenQueue(name)
	typed := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[Key]{Name: name, MetricsProvider: measure, Queue: l})
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[Key]{Name: name, MetricsProvider: measure, Queue: typed})
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[Key](minBackoff, maxBackoff)
	return &queue{
		TypedRateLimitingInterface: workqueue.NewTypedRateLimitingQueueWithConfig(limiter,
			workqueue.TypedRateLimitingQueueConfig[Key]{Name: name, DelayingQueue: delaying}),
		lanes: l,
		close: closed,
	}
}

// queueName tells in metrics which controller a queue is of. It does not name the shard,
// of which there are many, and others when the type is divided anew.
func (c *controller) queueName() string {
	if c.Name == c.family {
		return c.family
	}
	return c.family + "/" + c.Name
}

// addBacklog adds keys to the slow lane, except those in the queue already.
func (q *queue) addBacklog(keys []Key) {
	for _, key := range keys {
		q.lanes.Fill(key)
		q.Add(key)
	}
	q.lanes.Filled()
}

// lanes are work.Lanes with a lock: the workqueue calls Touch, Push, Len and Pop
// under its own, addBacklog calls the others without it.
type lanes struct {
	mu    sync.Mutex
	order work.Lanes[Key]
}

func (l *lanes) Fill(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.order.Fill(key)
}

func (l *lanes) Filled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.order.Filled()
}

func (l *lanes) Touch(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.order.Touch(key)
}

func (l *lanes) Push(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.order.Push(key)
}

func (l *lanes) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len()
}

func (l *lanes) Pop() Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Pop()
}

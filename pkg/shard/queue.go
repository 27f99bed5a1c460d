// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// Key names an object: its namespace, empty for cluster-scoped ones, and name.
type Key = cache.ObjectName

// backlogShare: of so many keys taken, one comes from the backlog even while
// live events wait, so that a busy shard still gets through its promotion.
const backlogShare = 16

// queue is the work queue of one controller in one term: client-go's, with two
// lanes. Keys that are there only because the shard was promoted wait behind
// those that something happened to.
type queue struct {
	workqueue.TypedRateLimitingInterface[Key]
	lanes *lanes
}

func newQueue(name string, minBackoff, maxBackoff time.Duration) *queue {
	l := &lanes{backlogged: map[Key]bool{}}
	typed := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[Key]{Name: name, Queue: l})
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[Key]{Name: name, Queue: typed})
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[Key](minBackoff, maxBackoff)
	return &queue{
		TypedRateLimitingInterface: workqueue.NewTypedRateLimitingQueueWithConfig(limiter,
			workqueue.TypedRateLimitingQueueConfig[Key]{Name: name, DelayingQueue: delaying}),
		lanes: l,
	}
}

// addBacklog adds keys to the slow lane, except those in the queue already.
func (q *queue) addBacklog(keys []Key) {
	for _, key := range keys {
		q.lanes.filling(key)
		q.Add(key)
	}
	q.lanes.filling(Key{})
}

// lanes is the order of a queue. The workqueue calls Touch, Push, Len and Pop
// under its own lock.
type lanes struct {
	mu         sync.Mutex
	live       []Key
	backlog    []Key        // may hold keys that were moved to live since
	backlogged map[Key]bool // what of backlog still counts
	fill       Key          // the key that addBacklog is adding
	popped     int
}

func (l *lanes) filling(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fill = key
}

// Touch moves a key that is added again to the fast lane.
func (l *lanes) Touch(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backlogged[key] && key != l.fill {
		delete(l.backlogged, key)
		l.live = append(l.live, key)
	}
}

// Push adds a key that is in neither lane.
func (l *lanes) Push(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if key == l.fill && key != (Key{}) {
		l.backlog = append(l.backlog, key)
		l.backlogged[key] = true
		return
	}
	l.live = append(l.live, key)
}

// Len counts the keys of both lanes.
func (l *lanes) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.live) + len(l.backlogged)
}

// Pop takes the next key; there is one.
func (l *lanes) Pop() Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.popped++
	fromBacklog := len(l.live) == 0 || l.popped%backlogShare == 0
	if fromBacklog && len(l.backlogged) > 0 {
		return l.popBacklog()
	}
	key := l.live[0]
	l.live[0] = Key{} // let go of the strings
	l.live = l.live[1:]
	return key
}

func (l *lanes) popBacklog() Key {
	for {
		key := l.backlog[0]
		l.backlog[0] = Key{}
		l.backlog = l.backlog[1:]
		if l.backlogged[key] {
			delete(l.backlogged, key)
			return key
		}
	}
}

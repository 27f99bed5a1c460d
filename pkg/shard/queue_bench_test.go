// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/util/workqueue"
)

// BenchmarkQueue is of our queue and, beside it, of client-go's without lanes, with the
// same limiter of retries. A key is added, taken, forgotten by the limiter and done.
//
//   - idle: one key at a time, by one goroutine;
//   - parallel: the same by as many goroutines as there are processors;
//   - promotion: a term begins with 10,000 keys, and all are taken;
//   - promotion-live: as many that something happens to are added meanwhile, one before
//     every other key is taken: ours lets them overtake the backlog.
func BenchmarkQueue(b *testing.B) {
	backlog := benchKeys("backlog", 10_000)
	live := benchKeys("live", 1<<16)
	for _, kind := range []struct {
		name  string
		open  func() workqueue.TypedRateLimitingInterface[Key]
		begin func(workqueue.TypedRateLimitingInterface[Key]) // a term
	}{
		{
			"shardctl",
			func() workqueue.TypedRateLimitingInterface[Key] {
				return newQueue("bench", defaultMinBackoff, defaultMaxBackoff)
			},
			func(q workqueue.TypedRateLimitingInterface[Key]) { q.(*queue).addBacklog(backlog) },
		},
		{
			"client-go",
			func() workqueue.TypedRateLimitingInterface[Key] {
				return workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[Key](defaultMinBackoff, defaultMaxBackoff))
			},
			func(q workqueue.TypedRateLimitingInterface[Key]) {
				for _, key := range backlog {
					q.Add(key)
				}
			},
		},
	} {
		run := func(name string, measure func(b *testing.B, q workqueue.TypedRateLimitingInterface[Key])) {
			b.Run(name+"/queue="+kind.name, func(b *testing.B) {
				q := kind.open()
				defer q.ShutDown()
				b.ReportAllocs()
				measure(b, q)
			})
		}
		run("idle", func(b *testing.B, q workqueue.TypedRateLimitingInterface[Key]) {
			b.Helper()
			for i := 0; b.Loop(); i++ {
				pass(q, live[i%len(live)])
			}
		})
		run("parallel", func(b *testing.B, q workqueue.TypedRateLimitingInterface[Key]) {
			b.Helper()
			var next atomic.Uint64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					pass(q, live[next.Add(1)%uint64(len(live))]) // none is in the queue twice, or one would wait for ever
				}
			})
		})
		run("promotion", func(b *testing.B, q workqueue.TypedRateLimitingInterface[Key]) {
			b.Helper()
			for b.Loop() {
				kind.begin(q)
				for range backlog {
					workOff(q)
				}
			}
		})
		run("promotion-live", func(b *testing.B, q workqueue.TypedRateLimitingInterface[Key]) {
			b.Helper()
			for b.Loop() {
				kind.begin(q)
				for i := range backlog {
					pass(q, live[i])
					workOff(q)
				}
			}
		})
	}
}

func benchKeys(name string, n int) []Key {
	keys := make([]Key, n)
	for i := range keys {
		keys[i] = Key{Namespace: fmt.Sprintf("team-%d", i%100), Name: fmt.Sprintf("%s-%05d", name, i)}
	}
	return keys
}

// pass adds a key and works off the one that is next.
func pass(q workqueue.TypedRateLimitingInterface[Key], key Key) {
	q.Add(key)
	workOff(q)
}

func workOff(q workqueue.TypedRateLimitingInterface[Key]) {
	key, _ := q.Get()
	q.Forget(key)
	q.Done(key)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"fmt"
	"testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

// BenchmarkList is what every change and every reconcile passes, where one process holds
// all buckets of a family.
//
//   - taker: for whom a change is to be queued;
//   - start-finish: of one reconcile, with three others under way;
//   - backlog: what a term of one bucket begins with, of 10,000 objects.
func BenchmarkList(b *testing.B) {
	for _, buckets := range []int{1, 8, lease.MaxBuckets} {
		var l List[id]
		var terms []Term
		for i := range buckets {
			t := Term{Number: uint64(i + 1)} //nolint:gosec // few
			if buckets > 1 {
				t.Bucket = piece(i, buckets)
			}
			l.Begin(t)
			terms = append(terms, t)
		}
		objects := make([]Object[id], 10_000)
		for i := range objects {
			objects[i] = object(id(fmt.Sprintf("object-%05d", i)), fmt.Sprintf("%08x", uint32(i)*429497)) //nolint:gosec // wraps on purpose
		}
		b.Run(fmt.Sprintf("taker/buckets=%d", buckets), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := l.Taker(objects[i%len(objects)]); !ok {
					b.Fatal("nobody takes an object")
				}
			}
		})
		b.Run(fmt.Sprintf("start-finish/buckets=%d", buckets), func(b *testing.B) {
			last := terms[len(terms)-1]
			var own []Object[id]
			for _, o := range objects {
				if o.In(last.Bucket) {
					own = append(own, o)
				}
			}
			for _, o := range own[:3] {
				l.Start(last, o, fine)
			}
			own = own[3:]
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				o := own[i%len(own)]
				if l.Start(last, o, fine) != Reconcile || l.Finish(last, o.Key, Succeeded) != Forget {
					b.Fatal("an object is not reconciled")
				}
			}
		})
		b.Run(fmt.Sprintf("backlog/buckets=%d", buckets), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Backlog(terms[0], noon, objects)
			}
		})
	}
}

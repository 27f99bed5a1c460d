// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// BenchmarkBucket is what it takes to find out whether an object is in a bucket, by each
// partition: for every event of the watch of a type that is divided, and for every key.
func BenchmarkBucket(b *testing.B) {
	const uid = types.UID("8c0ffee0-1234-4000-8000-000000000000")
	for _, name := range []struct{ of, namespace, name string }{
		{"usual", "team-payments", "checkout-6d4cf56db6-x7k2p"},
		{"longest", strings.Repeat("n", 63), strings.Repeat("m", 253)},
	} {
		for _, by := range Partitions() {
			bucket := Bucket{Index: 3, Of: 8, By: by}
			b.Run("by="+string(by)+"/name="+name.of, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					bucket.Contains(by.Position(uid, name.namespace, name.name))
				}
			})
		}
	}
}

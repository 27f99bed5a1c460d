// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

// measure is the environment variable that asks for the measurements of docs/fences.md.
const measure = "FENCE_LATENCY"

// What the fence adds to a write is told in docs/fences.md. Nothing is asserted: a busy machine is no bug.
func TestFenceLatency(t *testing.T) {
	if os.Getenv(measure) == "" {
		t.Skip("it measures and checks nothing: set " + measure + "=1")
	}
	const writes = 100
	for _, tc := range []struct {
		buckets   int
		partition lease.Partition
	}{
		{1, lease.ByUID},
		{16, lease.ByUID},
		{16, lease.ByKey},
		{16, lease.ByNamespace},
		{256, lease.ByUID},
		{256, lease.ByKey},
		{256, lease.ByNamespace},
	} {
		t.Run(fmt.Sprintf("%d by %s", tc.buckets, tc.partition), func(t *testing.T) {
			f := newFenced(t, 3) // each holds a third
			d := division{family: configMaps.GroupResource(), kind: "ConfigMap", buckets: tc.buckets, partition: tc.partition}
			object := f.createAll(t, configMaps, lease.ScopeNamespaced, []string{"a-name-of-usual-length-5f7d8c9b6d-x2x7p"})[0]
			median := func(write func() error) time.Duration {
				took := make([]time.Duration, writes)
				for i := range took {
					start := time.Now()
					if err := write(); err != nil {
						t.Fatal(err)
					}
					took[i] = time.Since(start)
				}
				slices.Sort(took)
				return took[writes/2]
			}
			holder := as(f.holder(d.bucket(object)))
			byHolder := func() error { return touch(t.Context(), in(holder, configMaps, f.namespace), object.GetName()) }
			byOther := func() error { return touch(t.Context(), in(f.dynamic, configMaps, f.namespace), object.GetName()) }
			without := median(byHolder)
			f.hold(t, d)
			f.fence(t, fence.Type{Resource: d.family})
			stranger := f.newPod(t, "stranger")
			awaitRefused(t, func() error { return touch(t.Context(), in(as(stranger), configMaps, f.namespace), object.GetName()) })
			t.Logf("the median of %d writes without the fence is %s; with it, by the holder, who has a third of the buckets, %s, by another user %s",
				writes, without.Round(10*time.Microsecond), median(byHolder).Round(10*time.Microsecond), median(byOther).Round(10*time.Microsecond))
		})
	}
}

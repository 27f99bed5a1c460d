// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// Nobody is named whose term did not end right before.
func TestWhoHeldItBefore(t *testing.T) {
	other := heldBy("s", "b", 4, "3")
	other.UID = "older"
	for name, tc := range map[string]struct {
		seen []*coordinationv1.Lease // one after the other
		want string
	}{
		"nothing seen before":       {nil, ""},
		"handed over":               {[]*coordinationv1.Lease{heldBy("s", "b", 4, "3")}, "b"},
		"released":                  {[]*coordinationv1.Lease{heldBy("s", "b", 4, "3"), heldBy("s", "", 4, "4")}, "b"},
		"nobody had it":             {[]*coordinationv1.Lease{heldBy("s", "", 4, "3")}, ""},
		"one term was not seen":     {[]*coordinationv1.Lease{heldBy("s", "b", 3, "3")}, ""},
		"the same, in another term": {[]*coordinationv1.Lease{heldBy("s", "b", 3, "3"), heldBy("s", "a", 4, "4")}, "a"},
		"another Lease of its name": {[]*coordinationv1.Lease{other}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := newView("g")
			for i, l := range append(tc.seen, heldBy("s", "a", 5, "9")) {
				v.put(Instant(i+1), l)
			}
			if got := v.leases["g.s"].before(); got != tc.want {
				t.Errorf("it comes from %q, want %q", got, tc.want)
			}
		})
	}
}

// Not only the newest of the Leases that come in one batch is looked at.
func TestWhoHeldItBeforeInABatch(t *testing.T) {
	v := newView("g")
	for i := range int32(10) {
		v.observe(1, Observed{Lease: heldBy("s", fmt.Sprintf("p%d", i), i, fmt.Sprint(i+1))})
	}
	if got := v.leases["g.s"].before(); got != "p8" {
		t.Errorf("it comes from %q, want p8", got)
	}
}

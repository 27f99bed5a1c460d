// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"testing"
	"time"
)

func TestPromoteWaitsForWhatTheLastHolderWrote(t *testing.T) {
	carried := map[string]string{"widgets": "10", "unwatched": "99"}
	for _, tc := range []struct {
		name   string
		caches []Cache
		waited time.Duration
		want   Promotion
	}{
		{"no cache", nil, 0, Caught},
		{"not shown", []Cache{{"widgets", "9"}}, 0, Behind},
		{"shown", []Cache{{"widgets", "10"}}, 0, Caught},
		{"more is shown", []Cache{{"widgets", "11"}}, 0, Caught},
		{"nothing is shown yet", []Cache{{"widgets", ""}}, 0, Behind},
		{"a type that was not written", []Cache{{"gadgets", "1"}}, 0, Caught},
		{"one of two is behind", []Cache{{"gadgets", "1"}, {"widgets", "9"}}, 0, Behind},
		{"almost long enough", []Cache{{"widgets", "9"}}, CarriedPatience - 1, Behind},
		{"long enough", []Cache{{"widgets", "9"}}, CarriedPatience, Overdue},
		{"at the last moment", []Cache{{"widgets", "10"}}, CarriedPatience, Caught},
		{"what cannot be compared is not waited for", []Cache{{"widgets", "no number"}}, 0, Caught},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Promote(carried, tc.caches, tc.waited); got != tc.want {
				t.Errorf("%d, want %d", got, tc.want)
			}
		})
	}
}

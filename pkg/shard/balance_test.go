// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"math"
	"testing"
	"time"
)

func TestBalanceIsValidated(t *testing.T) {
	for _, tc := range []struct {
		name string
		b    Balance
		want string
	}{
		{"the zero value", Balance{}, ""},
		{"everything set", Balance{Tolerance: 1, Budget: 1, Cooldown: time.Second}, ""},
		{"a negative tolerance", Balance{Tolerance: -0.1}, "balance.tolerance: -0.1 is not allowed: use a share of the mean load, above 0 and at most 1, or 0 for the default of 0.1"},
		{"percent", Balance{Tolerance: 10}, "balance.tolerance: 10 is not allowed: use a share of the mean load, above 0 and at most 1, or 0 for the default of 0.1"},
		{"not a number", Balance{Tolerance: math.NaN()}, "balance.tolerance: NaN is not allowed: use a share of the mean load, above 0 and at most 1, or 0 for the default of 0.1"},
		{"a negative budget", Balance{Budget: -1}, "balance.budget: -1 is not allowed: use 1 or more, or 0 for the default"},
		{"a negative cooldown", Balance{Cooldown: -time.Second}, "balance.cooldown: -1s is not allowed: use 0 for the default, or more"},
		{"two of them", Balance{Budget: -2, Cooldown: -1}, "balance.budget: -2 is not allowed: use 1 or more, or 0 for the default\nbalance.cooldown: -1ns is not allowed: use 0 for the default, or more"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if err := tc.b.validate(); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestBalanceDefaults(t *testing.T) {
	for _, tc := range []struct {
		b         Balance
		shards    int
		tolerance float64
		budget    int
	}{
		{Balance{}, 10, 0.1, 8},
		{Balance{}, 64, 0.1, 16},
		{Balance{Tolerance: 0.5, Budget: 2}, 64, 0.5, 2},
	} {
		if tolerance, budget := tc.b.tolerance(), tc.b.budget(tc.shards); tolerance != tc.tolerance || budget != tc.budget {
			t.Errorf("%+v of %d shards: tolerance %v, budget %d, want %v, %d", tc.b, tc.shards, tolerance, budget, tc.tolerance, tc.budget)
		}
	}
}

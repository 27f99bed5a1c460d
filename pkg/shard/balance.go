// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Balance says how evenly shards are spread, and how fast. The zero value has
// the defaults. All replicas of a group should have the same: replicas that do
// not differ about who should hold what, and move shards to and fro at the pace
// of the Cooldown.
type Balance struct {
	// Tolerance is by how much two members may differ before shards move, as a
	// share of the mean load of a member; above 0, and at most 1. Where all shards
	// weigh the same, members come out within one shard of each other whatever it
	// is. A small one follows every change of load, and each move costs a drain.
	// Default 0.1.
	Tolerance float64
	// Budget is how many shards one plan moves for balance at most, so that a
	// change does not drain everything at once. What an operator asks for, and what
	// has no holder, does not count. Default: a quarter of the shards, at least 8.
	Budget int
	// Cooldown is how long a holder does not give a shard away for balance after it
	// has received it. Default 2 s.
	Cooldown time.Duration
}

const (
	defaultTolerance = 0.1
	leastBudget      = 8 // of small groups, which are even in one plan then
	budgetShare      = 4 // one part in so many of the shards
)

// tolerance as it is in force.
func (b Balance) tolerance() float64 { return cmp.Or(b.Tolerance, defaultTolerance) }

// budget as it is in force for so many shards.
func (b Balance) budget(shards int) int {
	return cmp.Or(b.Budget, max(leastBudget, shards/budgetShare))
}

// validate tells what is wrong with b.
func (b Balance) validate() error {
	var errs []error
	if !(b.Tolerance >= 0 && b.Tolerance <= 1) { // not a number is neither
		errs = append(errs, fmt.Errorf("balance.tolerance: %v is not allowed: use a share of the mean load, above 0 and at most 1, or 0 for the default of %v", b.Tolerance, defaultTolerance))
	}
	if b.Budget < 0 {
		errs = append(errs, fmt.Errorf("balance.budget: %d is not allowed: use 1 or more, or 0 for the default", b.Budget))
	}
	if b.Cooldown < 0 {
		errs = append(errs, fmt.Errorf("balance.cooldown: %s is not allowed: use 0 for the default, or more", b.Cooldown))
	}
	return errors.Join(errs...)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Mode says what renews a shard that is held.
type Mode string

// The modes.
const (
	// SessionMode: the holder's member Lease does, for all its shards at once.
	// A shard Lease is written only when the shard changes hands.
	SessionMode Mode = "session"
	// LeaseMode: every shard Lease is renewed by itself, by the standard rules,
	// so that electors which know nothing of sessions can contend for it.
	LeaseMode Mode = "lease"
)

// validate tells whether there is such a mode.
func (m Mode) validate(parent *field.Path) field.ErrorList {
	if known := []Mode{SessionMode, LeaseMode}; !slices.Contains(known, m) {
		return field.ErrorList{field.NotSupported(parent.Child("mode"), m, known)}
	}
	return nil
}

// foreignResolution is how long before its last renewal an elector that compares
// Leases in whole seconds, as client-go's does, may have seen it change.
const foreignResolution = time.Second

// ClockRateBound is [Timings.ClockRateBound] for shards that are renewed like
// that: in lease mode it counts for other electors, too, whose patience begins
// up to a second earlier.
func (m Mode) ClockRateBound(t Timings) float64 {
	if m == LeaseMode {
		t.LeaseDuration -= foreignResolution
	}
	return t.ClockRateBound()
}

// Validate tells what is wrong with m, or with using it together with t, which
// is valid by itself; parent is the path of both.
func (m Mode) Validate(t Timings, parent *field.Path) field.ErrorList {
	if unknown := m.validate(parent); unknown != nil {
		return unknown
	}
	// Should the wall clock be set back by less than a second, other electors
	// see no change for up to another renewal.
	least := t.RenewDeadline + max(t.RenewInterval, foreignResolution) + foreignResolution
	if m == LeaseMode && t.LeaseDuration < least {
		return field.ErrorList{field.Invalid(parent.Child("timings", "leaseDuration"), t.LeaseDuration.String(),
			fmt.Sprintf("use %s or more in mode lease (renewDeadline + renewInterval, at least 1s, + 1s): other electors compare Leases in whole seconds", least))}
	}
	return nil
}

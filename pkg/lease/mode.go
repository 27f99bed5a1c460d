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

// leastInLeaseMode is the least LeaseDuration that other electors are trusted
// with. client-go's compares Leases in whole seconds, so it may have seen the
// last change of one up to a second before that was renewed for the last time.
const leastInLeaseMode = 3 * time.Second

// Validate tells what is wrong with m, or with using it together with t, which
// is valid by itself; parent is the path of both.
func (m Mode) Validate(t Timings, parent *field.Path) field.ErrorList {
	if unknown := m.validate(parent); unknown != nil {
		return unknown
	}
	if m == LeaseMode && t.LeaseDuration < leastInLeaseMode {
		return field.ErrorList{field.Invalid(parent.Child("timings", "leaseDuration"), t.LeaseDuration.String(),
			fmt.Sprintf("use %s or more in mode lease: other electors compare Leases in whole seconds", leastInLeaseMode))}
	}
	return nil
}

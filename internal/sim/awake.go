// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// awake does something of a process at its next chance: now, or once it goes on
// after a pause, in the same order.
func (r *Replica) awake(do func()) {
	switch {
	case r.Gone:
	case r.paused:
		r.frozen = append(r.frozen, do)
	default:
		do()
	}
}

// thaw does the first of what came up during a pause.
func (r *Replica) thaw() {
	do := r.frozen[0]
	r.frozen = r.frozen[1:]
	do()
}

// after does something of a process after a while.
func (r *Replica) after(d time.Duration, do func()) {
	r.w.after(d, func() { r.awake(do) })
}

// at does something of a process once its clock shows an instant, or soon after.
func (r *Replica) at(i lease.Instant, do func()) {
	due := max(r.w.now, r.Clock.When(i)) + r.w.Faults.TimerSlack.draw(r.process.rng)
	r.w.agenda.add(due, func() { r.awake(do) })
}

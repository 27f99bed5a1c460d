// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
	"github.com/shardctl/shardctl/pkg/lease"
)

// punctualWithin is how late a tick is started at most while somebody holds the shard in
// peace: an entry takes a request and an event, and the run before it may have to end.
// What a clock that was fast has passed over or started before is not meant.
const punctualWithin = time.Second

// punctual says that a stable group starts each tick in time, and that nothing was lost
// that must not be.
func (h *History) punctual() {
	w := h.World
	if w.schedules == nil || w.Checks.Violation != nil {
		return
	}
	tt := w.schedules.timetable
	r := w.Holder(tt.spec.Role)
	begin, floor := r.wallClock(), tt.onRecord().Claimed.Tick
	w.Run(2*tt.period + 2*punctualWithin)
	for at := tt.spec.Cron.Next(begin); !at.After(r.wallClock().Add(-punctualWithin)); at = tt.spec.Cron.Next(at) {
		if one := tt.tick(at); at.After(floor) && one.starts == 0 && one.skipped == "" {
			tt.violatef(r, "%s is not started within %s, although the shard is held", at, punctualWithin)
		}
	}
	if !w.Until(finishedWithin, tt.finished) && w.Checks.Violation == nil {
		tt.violatef(r, "%s, which was claimed, is not finished", tt.unfinished())
	}
	until := tt.onRecord().Claimed.Tick
	w.Run(punctualWithin)
	tt.account(until)
}

// finishedWithin is how long what was claimed takes to be started again, and to end.
const finishedWithin = 10 * time.Second

// onRecord is what the Lease says now.
func (tt *timetable) onRecord() schedule.Record {
	l := tt.world.Server.leases[lease.ShardLeaseName(Group, tt.spec.Role)]
	if l == nil {
		return schedule.Record{}
	}
	rec, _ := schedule.Decode(lease.DecodeShard(l).Ledger) // nothing, if it cannot be read
	return rec
}

func (tt *timetable) finished() bool { return tt.unfinished().IsZero() }

// unfinished is a tick that is to be started at least once, and of which no run has ended.
func (tt *timetable) unfinished() time.Time {
	if tt.spec.Delivery == schedule.AtLeastOnce {
		for _, one := range tt.ticks {
			if one.claimed != (termKey{}) && !one.withdrawn && !one.ended {
				return one.at
			}
		}
	}
	return time.Time{}
}

// account says of each tick up to the last claim what has become of it. Lost are those,
// at most, whose claim was on record when the term ended without a word.
func (tt *timetable) account(until time.Time) {
	if tt.since.IsZero() {
		return
	}
	for at := tt.spec.Cron.Next(tt.since); !at.After(until); at = tt.spec.Cron.Next(at) {
		one := tt.tick(at)
		tt.Counts.Ticks++
		switch {
		case one.starts > 0 || one.skipped != "":
		case one.claimed == termKey{} || one.withdrawn:
			tt.violatef(nil, "%s was neither claimed nor passed over", at)
		case tt.given[one.claimed]:
			tt.violatef(nil, "%s was claimed in epoch %d, which gave the shard away, and not started", at, one.claimed.epoch)
		default:
			tt.Counts.Lost++
			if r := tt.world.Holder(tt.spec.Role); r != nil && keyOf(r.Terms[tt.spec.Role].Term) == one.claimed {
				tt.violatef(r, "%s was claimed in epoch %d, which goes on, and not started", at, one.claimed.epoch)
			}
		}
	}
}

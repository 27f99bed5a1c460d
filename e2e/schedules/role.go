// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"fmt"
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
)

// Role is a schedule of the group.
type Role struct {
	Name string
	// Cron is in UTC.
	Cron        string
	Delivery    schedule.Delivery
	Concurrency schedule.Concurrency
	// Deadline is how late a tick may be started, in whole seconds; zero: however late.
	Deadline time.Duration
	// Lasts is the longest time that a run takes; how long one does is up to chance.
	Lasts time.Duration
	// Exec has a program called, not a webhook.
	Exec bool
}

// shortest is how often the busy roles have ticks.
const shortest = "@every 1s"

// Roles are all there are: many that are busy, with either delivery and all policies, and some of other kinds. Most of them
// have a tick each second.
func Roles() []Role {
	var roles []Role
	add := func(r Role) {
		for _, of := range []struct {
			suffix   string
			delivery schedule.Delivery
		}{{"once", schedule.AtMostOnce}, {"sure", schedule.AtLeastOnce}} {
			r := r
			r.Name, r.Delivery = r.Name+"-"+of.suffix, of.delivery
			roles = append(roles, r)
		}
	}
	const quick, slow = 200 * time.Millisecond, 1500 * time.Millisecond
	for i := range 5 {
		add(Role{Name: fmt.Sprintf("busy%d", i), Cron: shortest, Concurrency: schedule.Forbid, Lasts: quick})
	}
	add(Role{Name: "hasty", Cron: shortest, Concurrency: schedule.Forbid, Lasts: quick, Deadline: 2 * time.Second})
	add(Role{Name: "slow", Cron: shortest, Concurrency: schedule.Forbid, Lasts: slow})
	add(Role{Name: "many", Cron: shortest, Concurrency: schedule.Allow, Lasts: slow})
	add(Role{Name: "program", Cron: "@every 2s", Concurrency: schedule.Forbid, Lasts: quick, Exec: true})
	add(Role{Name: "minutely", Cron: "* * * * *", Concurrency: schedule.Forbid, Lasts: quick})
	return append(roles, Role{
		Name: "newest-once", Cron: shortest, Delivery: schedule.AtMostOnce, Concurrency: schedule.Replace, Lasts: slow,
	})
}

// isBusy says whether something becomes of the role every second, however short a fault may be.
func (r Role) isBusy() bool {
	return r.Cron == shortest && r.Deadline == 0 && r.Concurrency == schedule.Forbid && r.Lasts < time.Second
}

// ticks are those of the role after an instant and not after another.
func (r Role) ticks(after, until time.Time) (map[time.Time]bool, error) {
	cron, err := schedule.ParseCron(r.Cron, time.UTC)
	if err != nil {
		return nil, err
	}
	ticks := map[time.Time]bool{}
	for tick := cron.Next(after); !tick.IsZero() && !tick.After(until); tick = cron.Next(tick) {
		ticks[tick] = true
	}
	return ticks, nil
}

// key is the idempotency key of a tick.
func (r Role) key(tick time.Time) string { return r.Name + "/" + tick.UTC().Format(time.RFC3339) }

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
)

// Schedule is work that is begun at certain times, on exactly one replica. To the group it
// is a role of its name: a shard like any other.
//
// A tick of the schedule is claimed in the shard's Lease before it is started, so it is
// started once at most in the whole group, whatever fails. It is not started at all if
// nobody can before its StartingDeadline or before the next tick is due, or if the holder
// dies between the claim and the start. See [AtLeastOnce] for work that must not be lost.
type Schedule struct {
	// Name is the shard's name: a DNS label.
	Name string
	// Cron says when, as for a CronJob: five fields, @hourly and the like, or @every and a
	// duration in whole seconds, whose ticks are its multiples since 1970 began in UTC.
	// Required.
	Cron string
	// TimeZone is the one that the Cron is in, by its name in the IANA database. It has to be
	// the same on all replicas, and known there: a program whose image has no such database
	// imports time/tzdata. Default: UTC.
	TimeZone string
	// StartingDeadline is how late a tick may be started. Default: however late, but only
	// the latest of those that were missed.
	StartingDeadline time.Duration
	// Concurrency says what becomes of a tick while a run of an earlier one goes on.
	// Default: [ForbidConcurrent].
	Concurrency ConcurrencyPolicy
	// Delivery says what becomes of a tick whose run has not come to its end. Default:
	// [AtMostOnce].
	Delivery Delivery
	// Suspend skips the ticks that become due. Runs that go on are not affected.
	Suspend bool
	// Run does the work of one tick, while this replica holds the shard. What it returns
	// counts as the outcome, and is not tried again; but see [AtLeastOnce]. Its context
	// carries the [Term]. It is cancelled once the Grace is over, or at once if the term is:
	// the shard waits for Run to return before it goes to another replica, unless the term
	// ends. With [ReplaceConcurrent] it is also cancelled for the next tick. Required.
	Run func(ctx context.Context, f Firing) error
	// Grace is how long runs may go on after the shard is to be given away. While one goes on
	// a shard is not given away for balance alone, but it is if this replica leaves. Less
	// than the DrainTimeout of the group, past which the process counts as one that has to
	// be restarted, and than its LeaveTimeout. Default: its DrainGrace.
	Grace time.Duration
	// Gate and Done are those of a [Role].
	Gate *Gate
	Done func()
}

// ConcurrencyPolicy says what becomes of a tick while a run of an earlier one goes on.
type ConcurrencyPolicy string

const (
	// ForbidConcurrent has it wait until that run has ended. Only the latest tick waits.
	ForbidConcurrent ConcurrencyPolicy = "Forbid"
	// AllowConcurrent starts it; while ten runs go on it waits.
	AllowConcurrent ConcurrencyPolicy = "Allow"
	// ReplaceConcurrent cancels the context of that run, and starts it when that has
	// returned.
	ReplaceConcurrent ConcurrencyPolicy = "Replace"
)

// ErrReplaced is what the context of a run ends with for the next tick to take its place;
// see [ReplaceConcurrent].
var ErrReplaced = errors.New("the next tick takes the place of this run")

// Delivery says what becomes of a tick whose run has not come to its end.
type Delivery string

const (
	// AtMostOnce starts no tick twice.
	AtMostOnce Delivery = "AtMostOnce"
	// AtLeastOnce starts every tick that was claimed until a run of it has returned nil, or
	// an error while its context was not cancelled: again in the next term, with the same
	// key, before any later tick and whatever the StartingDeadline. A run that was replaced
	// is not repeated. So Run has to do the same once when it is called twice with one key.
	AtLeastOnce Delivery = "AtLeastOnce"
)

// Firing is one start of a tick.
type Firing struct {
	// Key is the tick's idempotency key: the name of the schedule, a slash, and the tick in
	// RFC 3339, in UTC.
	Key       string
	Schedule  string
	Scheduled time.Time // the tick, in UTC
	// Epoch and Token are those of the [Term].
	Epoch int32
	Token int64
	// Repeated says that a run of the tick was begun before, or may have been. Only with
	// [AtLeastOnce].
	Repeated bool
}

// role is the schedule as a role of the group.
func (s Schedule) role(g *Group) (Role, error) {
	s.Concurrency = cmp.Or(s.Concurrency, ForbidConcurrent)
	s.Delivery = cmp.Or(s.Delivery, AtMostOnce)
	spec, err := s.spec()
	if longest := min(g.opts.DrainTimeout, g.opts.LeaveTimeout); s.Grace > 0 && s.Grace >= longest {
		err = errors.Join(err, fmt.Errorf("grace: %s is not allowed: use less than the group's DrainTimeout and LeaveTimeout, %s, or raise these", s.Grace, longest))
	}
	if err != nil {
		return Role{}, err
	}
	s.Grace = cmp.Or(s.Grace, g.opts.DrainGrace)
	m, err := newScheduleMetrics(g.opts.Registerer, g.opts.Name)
	if err != nil {
		return Role{}, err
	}
	m.begin(s.Name)
	at := &scheduler{Schedule: s, spec: spec, metrics: m, busy: func(busy bool) { g.setBusy(s.Name, busy) }}
	return Role{Name: s.Name, Run: at.run, Gate: s.Gate, Done: s.Done}, nil
}

// spec is what the machine goes by; the name is the role's to validate.
func (s Schedule) spec() (schedule.Spec, error) {
	spec := schedule.Spec{
		Role: s.Name, StartingDeadline: s.StartingDeadline, Concurrency: schedule.Concurrency(s.Concurrency), Delivery: schedule.Delivery(s.Delivery), Suspend: s.Suspend,
	}
	var errs []error
	if s.Run == nil {
		errs = append(errs, errors.New("run: is required"))
	}
	if s.Grace < 0 {
		errs = append(errs, fmt.Errorf("grace: %s is not allowed: use a positive one, or 0 for the group's", s.Grace))
	}
	zone, err := schedule.Zone(s.TimeZone)
	if err != nil {
		errs = append(errs, fmt.Errorf("timeZone: %w", err))
		zone = time.UTC
	}
	if spec.Cron, err = schedule.ParseCron(s.Cron, zone); err != nil {
		errs = append(errs, fmt.Errorf("cron: %w", err))
	}
	return spec, errors.Join(append(errs, spec.Validate())...)
}

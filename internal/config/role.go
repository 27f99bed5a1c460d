// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"time"

	"github.com/shardctl/shardctl/internal/decorator"
	"github.com/shardctl/shardctl/internal/endpoint"
	"github.com/shardctl/shardctl/internal/hook"
	"github.com/shardctl/shardctl/internal/probe"
	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// Role is one thing that the group does. Exactly one of Decorator, Schedule, Exec and
// Lead is set. Those without a Decorator are one shard, of the role's own name.
type Role struct {
	// Name is the role's: a DNS label, or the DNS subdomain that names a
	// DecoratorController.
	Name string

	// Decorator: objects of some types are reconciled.
	Decorator *decorator.Document
	// Schedule: something is done at certain times, on one replica.
	Schedule *Schedule
	// Exec: a program runs on one replica at a time.
	Exec *Exec
	// Lead: the replica's neighbours are told which replica leads.
	Lead *Lead

	// Readiness says when a replica is fit for the role; nil: always. Never set beside a
	// Decorator.
	Readiness *Readiness

	// Buckets is how many shards each of the role's types is divided into, 1 to
	// [lease.MaxBuckets]; Partition says how. All roles of a type have the same. A role
	// without types is in one piece: 1, by UID.
	Buckets   int
	Partition lease.Partition
}

// Resources are the types that the role decorates, Attachments what it attaches to them;
// none if it has no types.
func (r Role) Resources() []decorator.ResourceRule {
	if r.Decorator == nil {
		return nil
	}
	return r.Decorator.Spec.Resources
}

// Attachments is described at Resources.
func (r Role) Attachments() []decorator.AttachmentRule {
	if r.Decorator == nil {
		return nil
	}
	return r.Decorator.Spec.Attachments
}

// ServesLeadership tells whether there is to be a local endpoint: if the file names its
// address, or there is a leadership role. Without either nobody would look for it, and it
// would be in the way where several replicas share a machine's ports.
func (c *Config) ServesLeadership() bool {
	leads := func(r Role) bool { return r.Lead != nil }
	return c.Leadership.Address != "" && (c.Leadership.Asked || slices.ContainsFunc(c.Roles, leads))
}

// Schedule says when something is done, and what.
type Schedule struct {
	// Cron is when, in TimeZone, an IANA name: both can be read by internal/schedule.
	Cron     string
	TimeZone string

	// StartingDeadline is how late a run may still be started, in whole seconds; 0 if
	// there is no limit.
	StartingDeadline time.Duration

	Concurrency shard.ConcurrencyPolicy
	Delivery    shard.Delivery

	// Suspend has nothing started.
	Suspend bool

	// Grace is how long a run may go on after the schedule is to be given away; more than
	// 0, less than the DrainTimeout.
	Grace time.Duration

	// Action is what is called: a webhook or a program.
	Action *hook.Config
}

// Exec is a program that runs while the shard is held.
type Exec struct {
	// Command is the program and its arguments; at least one.
	Command []string
	// Env is added to the environment of shardctl itself, and wins over it.
	Env []hook.EnvVar

	// TerminationGrace is how long it may take to end after SIGTERM; more than 0, less
	// than the DrainTimeout.
	TerminationGrace time.Duration

	// RestartInitial is the pause before the program is started again if it ends by
	// itself. It doubles with each time, up to RestartMax, which is not less.
	RestartInitial, RestartMax time.Duration
}

// Lead is how the leadership is taken back.
type Lead struct {
	// Grace is how long the shard is kept after it was told that it goes; less than the
	// DrainTimeout.
	Grace time.Duration
	// Acknowledge: it is given away before that, as soon as somebody says that he has
	// stopped.
	Acknowledge bool
}

// Readiness says how to find out whether a replica is fit for a role.
type Readiness struct {
	// Probe is what is looked at. Valid.
	Probe *probe.Config

	// Interval is from one check to the next, Timeout for how long one may take; not
	// more.
	Interval, Timeout time.Duration

	// FailureThreshold is after how many checks in a row that fail a replica is not fit
	// any more, SuccessThreshold after how many that succeed it is again; at least 1.
	FailureThreshold, SuccessThreshold int
}

// Leadership is the local endpoint.
type Leadership struct {
	// Address is where it listens, as host:port; empty if there is to be none. Asked says
	// that the file names it: then it is there without any leadership role, too.
	Address string
	Asked   bool
	// TLS names the files of the certificate that it is served with; zero if it is served in
	// the clear.
	TLS endpoint.Files
	// Authorization: only those are answered whom the API server lets.
	Authorization bool
	// Root is the role that "/" is about; empty for the only leadership role there is.
	Root string
}

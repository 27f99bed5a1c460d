// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"time"

	"github.com/shardctl/shardctl/internal/endpoint"
	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// What a file says if it says nothing.
const (
	// DefaultDrainTimeout leaves a third of a Pod's usual grace period of 30 s
	// for handing over and for ending the session.
	DefaultDrainTimeout = 20 * time.Second
	// DefaultWorkers hides the latency of a webhook without flooding a small
	// one.
	DefaultWorkers = 4
	// DefaultHTTPAddress is reachable from outside the Pod: probes and
	// Prometheus come from there.
	DefaultHTTPAddress = ":8080"
	// DefaultLeadershipAddress is reachable from the Pod's own containers alone. The
	// port is that of the leader-elector sidecar, so that programs find it where it was.
	DefaultLeadershipAddress = "127.0.0.1:4040"
)

// What a role says if it says nothing.
const (
	// DefaultRunGrace is half of the drainTimeout if that is less. Most runs end in it.
	DefaultRunGrace = 10 * time.Second
	// DefaultTerminationGrace is half of the drainTimeout if that is less.
	DefaultTerminationGrace = 10 * time.Second
	DefaultRestartInitial   = time.Second
	DefaultRestartMax       = 5 * time.Minute
	// DefaultLeadGrace is half of the drainTimeout if that is less. A program that hears
	// at once that it leads no more has stopped by then.
	DefaultLeadGrace = 2 * time.Second

	// Those of a readiness are those of the kubelet's probes, but for the interval: what
	// waits for it is a shard that could be at work elsewhere.
	DefaultReadinessInterval         = 5 * time.Second
	DefaultReadinessTimeout          = time.Second
	DefaultReadinessFailureThreshold = 3
	DefaultReadinessSuccessThreshold = 1
)

// Limits. What is above them is a mistake or somebody else's file.
const (
	// MaxBytes is what a ConfigMap can hold.
	MaxBytes = 1 << 20
	// MaxDocuments counts empty documents too.
	MaxDocuments = 1000
	// MaxRoles is per group: every replica watches the types of all roles.
	MaxRoles = 500

	maxDrainTimeout = time.Hour
	maxPause        = time.Hour // between two starts of a program, or two checks
	minInterval     = 100 * time.Millisecond
	minTimeout      = 10 * time.Millisecond
	maxThreshold    = 1000
	maxDeadline     = 366 * 24 * time.Hour // of a start that is late
	maxWorkers      = 1000
	maxBudget       = 10_000
	maxCooldown     = time.Hour
)

// Config is a whole file, valid and with defaults filled in.
type Config struct {
	// Name is the group's: a DNS label. The replicas with this name in one
	// namespace share the shards.
	Name string

	// Namespace is where the group's Leases are. Empty if the file leaves it
	// to the place where the replica runs.
	Namespace string

	// Timings are those of the sessions.
	Timings lease.Timings

	// Mode is what renews the shards that a replica holds.
	Mode lease.Mode

	// PodWatch says whether replicas watch the group's Pods for containers that
	// have terminated.
	PodWatch bool

	// DrainTimeout is how long a shard's work in flight may take to end when
	// the shard is given away; at most an hour.
	DrainTimeout time.Duration

	// Workers is how many reconciles a shard runs at once, 1 to 1000.
	Workers int

	// Balance says how evenly shards are spread; zero where the file leaves that to
	// the defaults.
	Balance shard.Balance

	// HTTPAddress is where health, metrics and the dashboard are served: host:port,
	// the host may be empty, port 0 takes a free one.
	HTTPAddress string

	// HTTPTLS names the files of the certificate that they are served with; zero if they
	// are served in the clear.
	HTTPTLS endpoint.Files

	// HTTPProtect are the parts that are only for those whom the API server lets.
	HTTPProtect []endpoint.Part

	// Leadership is the local endpoint, where programs of any language ask who leads.
	Leadership Leadership

	// Events says whether what becomes of shards is told as Events of their Leases.
	Events bool

	// Roles are what the group does, in the order of the file. At least one;
	// names differ.
	Roles []Role
}

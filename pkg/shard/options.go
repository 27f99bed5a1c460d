// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/internal/terminationlog"
	"github.com/shardctl/shardctl/pkg/lease"
)

// GroupOptions say which group a replica belongs to, and how it behaves.
type GroupOptions struct {
	// Name is the group's name, a DNS label; Namespace is where its Leases
	// live. Both are required. All replicas of a group use the same.
	Name, Namespace string

	// Pod, PodUID and Container say who this replica is. Defaults: the
	// environment variables POD_NAME (or else the host's name), POD_UID and
	// SHARDCTL_CONTAINER (or else "main"). Without a PodUID the replica counts as a
	// process outside of any Pod.
	Pod       string
	PodUID    types.UID
	Container string

	// TerminationLog is the file that the kubelet reads when the container has
	// ended: its terminationMessagePath. [Group.Run] adds a line to it by which
	// the others know which process has ended, and need not wait for its session
	// to expire. It is never made, and does without a line outside of any Pod.
	// Since it is not empty then, the terminationMessagePolicy
	// FallbackToLogsOnError does not fall back: a program should append the error
	// that it ends with. "-" for none. Default: /dev/termination-log.
	TerminationLog string
	// NoPodWatch makes this replica not watch the Pods of the Namespace. By
	// default one with a PodUID does, if it may list and watch them, and so takes
	// over at once what a replica held whose container has terminated. One
	// outside of any Pod never does: those in Pods see each other's deaths.
	NoPodWatch bool

	// Revision orders versions of the program: shards never move to a lower one
	// for balance. It is used only where the cluster does not say: outside of any
	// Pod, for one without a Deployment, StatefulSet or DaemonSet, or if that may
	// not be read. [Group.Run] looks for it, at first and every few minutes, since a
	// rollback changes it, which takes the permissions to get pods and, as the case
	// may be, replicasets.apps or controllerrevisions.apps in the Namespace. Default 0.
	Revision int64

	// Balance says how evenly shards are spread, and how fast.
	Balance Balance

	// Timings of the session. Default: [lease.Default].
	Timings lease.Timings

	// Mode says what renews the shards that this replica holds. Replicas with
	// different modes run side by side. Default: [lease.SessionMode].
	Mode lease.Mode

	// WatchNamespace restricts the informers to one namespace. Default: all.
	WatchNamespace string

	// Metadata, if set, is used to notice at once that a missing type is
	// served: see the package informers.
	Metadata metadata.Interface

	// DrainGrace is how long reconciles may go on after a shard is to be handed
	// over, before their contexts are cancelled. Default 1 s.
	DrainGrace time.Duration
	// DrainTimeout is after how long work that ignores its context is reported
	// as stuck: see [Group.Live]. The shard stays until it has returned. It is
	// also for how long a write that nobody awaits any more keeps the shard.
	// Default 20 s.
	DrainTimeout time.Duration
	// LeaveTimeout is how long Run, once its context is done, tries to hand
	// everything over. Less than the Pod's termination grace period. Default
	// 25 s.
	LeaveTimeout time.Duration

	// Clock of the session. Default: [lease.BootClock].
	Clock lease.Clock

	// Registerer gets the group's metrics. Default: none are kept.
	Registerer prometheus.Registerer

	// Recorder, if set, is told what becomes of shards on this replica, as Events of
	// their Leases: Acquired, HandedOver, Released, Lost and Fenced, with the replica's
	// Pod as what they are related to. Those that client-go and controller-runtime make
	// will do. It is called on a goroutine that nothing else waits for but the end of
	// Run, so one that blocks for ever keeps that from returning. Default: none.
	Recorder events.EventRecorder
}

const (
	defaultDrainGrace   = time.Second
	defaultDrainTimeout = 20 * time.Second
	defaultLeaveTimeout = 25 * time.Second
)

func (o *GroupOptions) setDefaults() error {
	if o.Pod == "" {
		o.Pod = os.Getenv("POD_NAME")
	}
	if o.Pod == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("the replica has no name: set POD_NAME: %w", err)
		}
		o.Pod = strings.ToLower(host)
	}
	o.PodUID = cmp.Or(o.PodUID, types.UID(os.Getenv("POD_UID")))
	o.Container = cmp.Or(o.Container, os.Getenv("SHARDCTL_CONTAINER"), "main")
	o.TerminationLog = cmp.Or(o.TerminationLog, terminationlog.Default)
	o.Timings = cmp.Or(o.Timings, lease.Default)
	o.Mode = cmp.Or(o.Mode, lease.SessionMode)
	o.DrainGrace = cmp.Or(o.DrainGrace, defaultDrainGrace)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, defaultDrainTimeout)
	o.LeaveTimeout = cmp.Or(o.LeaveTimeout, defaultLeaveTimeout)
	if o.Clock == nil {
		o.Clock = lease.BootClock()
	}
	var errs []error
	for name, d := range map[string]time.Duration{"drainGrace": o.DrainGrace, "drainTimeout": o.DrainTimeout, "leaveTimeout": o.LeaveTimeout} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s: %s is not allowed: use 0 for the default, or more", name, d))
		}
	}
	if bad := o.Mode.Validate(o.Timings, nil); len(bad) > 0 {
		errs = append(errs, bad.ToAggregate())
	}
	errs = append(errs, o.Balance.validate())
	return errors.Join(errs...)
}

// election is what the options mean to the election.
func (o *GroupOptions) election() lease.Config {
	cfg := lease.Config{
		Group:     o.Name,
		Namespace: o.Namespace,
		Replica:   lease.Replica{Pod: o.Pod, UID: o.PodUID, Container: o.Container, Boot: bootNonce()},
		Revision:  o.Revision,
		Timings:   o.Timings,
		Mode:      o.Mode,
		Assign:    o.Balance.Assign,
		Cooldown:  o.Balance.Cooldown,
	}
	if o.PodUID != "" {
		cfg.Owner = &metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: o.Pod, UID: o.PodUID, BlockOwnerDeletion: ptr.To(false)}
	}
	return cfg
}

// bootNonce tells this run of the process from all others: 50 random bits.
func bootNonce() string { return strings.ToLower(rand.Text()[:10]) }

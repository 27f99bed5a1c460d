// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/pkg/lease"
)

const (
	// revisionInterval is how often the revision is read anew: two requests. That
	// soon at the latest does a replica know how many there are to be, after its
	// Deployment was scaled.
	revisionInterval = 5 * time.Minute
	// emptiedInterval is how often, as long as newer revisions hold everything. A
	// rollback makes such a replica the newest again, and it does nothing before it
	// knows that; without one it is about to be deleted.
	emptiedInterval = 20 * time.Second
	// revisionJitter is by which part an interval is longer at most, so that the
	// replicas do not all ask at once.
	revisionJitter = 0.5
)

// reviser keeps what the replica says of its revision as the cluster has it. That
// may change while the replica runs: a rollback gives the ReplicaSet of an earlier
// version, with the Pods that are left of it, the number of the newest.
type reviser struct {
	workload *workload
	// emptied is told whether newer revisions hold everything that this one could.
	emptied latest

	known   revision
	trouble string // that the last attempt to read it met; empty if it met none
}

func newReviser(w *workload) *reviser { return &reviser{workload: w, emptied: newLatest()} }

// first asks the cluster which version this replica is of; what it does not say
// is as configured. It comes before the first heartbeat: by what that says shards
// are moved.
func (r *reviser) first(ctx context.Context, configured int64) revision {
	log := klog.FromContext(ctx)
	found, err := r.workload.revision(ctx)
	r.known, r.trouble = found, troubleOf(err)
	if err != nil {
		r.known = revision{number: configured}
	}
	switch permission := permissionFor("get", err); {
	case err == nil:
		log.Info("The revision is that of the Pod", "revision", found.number, "replicas", found.replicas)
	case permission != "":
		log.Info("The revision is the configured one, for want of a permission to read the Pod's", "revision", configured, "permission", permission, "err", err)
	default:
		log.Info("The revision is the configured one", "revision", configured, "because", err)
	}
	return r.known
}

// reviseLoop reads the revision again now and then, and as soon as the replica is
// emptied, and says so if it has changed, until ctx is done.
func (r *reviser) reviseLoop(ctx context.Context, revise func(lease.Revised)) error {
	emptied := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case emptied = <-r.emptied:
			if !emptied {
				continue
			}
		case <-time.After(r.pause(emptied)):
		}
		if r.again(ctx) {
			revise(lease.Revised{Revision: r.known.number, TargetReplicas: r.known.replicas})
		}
	}
}

// pause is how long to wait for the next attempt. What could not be read is not
// asked for any more often because it matters more.
func (r *reviser) pause(emptied bool) time.Duration {
	if emptied && r.trouble == "" {
		return wait.Jitter(emptiedInterval, revisionJitter)
	}
	return wait.Jitter(revisionInterval, revisionJitter)
}

// again reads the revision, and tells whether it has changed. What cannot be read
// stays as it was, and is told once.
func (r *reviser) again(ctx context.Context) (changed bool) {
	log := klog.FromContext(ctx)
	found, err := r.workload.revision(ctx)
	if ctx.Err() != nil {
		return false
	}
	before := r.trouble
	r.trouble = troubleOf(err)
	if err != nil {
		if r.trouble != before {
			log.Info("The revision stays as it was, for the Pod's cannot be read", "revision", r.known.number, "permission", permissionFor("get", err), "err", err)
		}
		return false
	}
	if found.number == r.known.number && found.replicas == r.known.replicas {
		return false
	}
	log.Info("The revision of the Pod has changed", "revision", found.number, "replicas", found.replicas, "before", r.known.number, "replicasBefore", r.known.replicas)
	r.known = found
	return true
}

// troubleOf says what was wrong, the same each time that the same is.
func troubleOf(err error) string {
	switch permission := permissionFor("get", err); {
	case err == nil:
		return ""
	case permission != "":
		return permission
	case passing(err):
		return "no answer" // the error names a connection
	default:
		return err.Error()
	}
}

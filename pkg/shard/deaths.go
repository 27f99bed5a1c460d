// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/terminationlog"
	"github.com/shardctl/shardctl/pkg/lease"
)

// pods is what the Pod watch reads, nil if there is to be none.
func (o *GroupOptions) pods(cfg *rest.Config) (lease.PodReader, error) {
	if o.NoPodWatch || o.PodUID == "" {
		return nil, nil
	}
	return lease.NewPodReader(cfg, o.Namespace)
}

// leaveObituary puts into the Pod's status-to-be which process ended here. It
// comes before the first heartbeat, so that there is no session whose process
// could end without. Without it the group works as well: the session expires.
func (g *Group) leaveObituary(ctx context.Context) {
	if g.opts.PodUID == "" {
		return // no Pod's status would be looked at for it
	}
	log := klog.FromContext(ctx).WithValues("path", g.opts.TerminationLog)
	switch err := terminationlog.Append(g.opts.TerminationLog, g.obituary); {
	case errors.Is(err, os.ErrNotExist):
		log.V(2).Info("There is no file for a termination message: if this process crashes, its shards stay with it for its LeaseDuration")
	case err != nil:
		log.Error(err, "If this process crashes, its shards stay with it for its LeaseDuration")
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// trouble is what happens to the replica that holds all shards. The names of groups and, with underscores, figures begin with it.
type trouble string

const (
	// slowStop: it is told to end, as a kubelet does, and its work takes a while to stop after it was told to.
	//
	// Each contender is used as its authors' own programs do: the signal ends the context that the election runs in, and the Lease
	// is released then (ReleaseOnCancel), since without that every hand-off would take LeaseDuration. client-go asks its users to
	// have ended the work before, and leaves it to them how: workFirst does as it asks, which few programs do. controller-runtime
	// waits for the work by itself.
	slowStop trouble = "slow-stop"
	// slowReply: answers to it take a while, and after that nothing gets through in either direction any more, while its
	// connections stay open: a network that hangs. The renewals whose answers are late have been carried out. workFirst is what
	// clientGo is then: nobody is told to end.
	slowReply trouble = "slow-reply"
)

func troubles() []trouble { return []trouble{slowStop, slowReply} }

// contenders are those that there is a difference between.
func (t trouble) contenders() []contender {
	if t == slowStop {
		return append(contenders(), workFirst)
	}
	return contenders()
}

const (
	// stopTakes is how long work goes on after it was told to stop.
	stopTakes = 3 * time.Second
	// replyTakes is how late answers are at most: longer than the RetryPeriod of electors (2 s), so that each of them renews
	// meanwhile, and shorter than what any contender's client allows a request, so that none fails: shardctl 3 s, client-go and
	// controller-runtime 5 s (half of the RenewDeadline). knative's client has no time-out: it is its elector's RenewDeadline of
	// 10 s that ends a request.
	replyTakes = 2500 * time.Millisecond
	// replyAfter is how long after a renewal answers begin to be late, so that the next one falls into that time whether it comes
	// after 2 s or after the RenewInterval of ours, 3 s. In lease mode shards are renewed one by one, not all at the same moment: of
	// those, as of client-go's and knative's, one is what this goes by.
	replyAfter = time.Second
	// renewalPoll is how often the Leases are read until one is renewed, renewalLimit for how long: more than any contender's period.
	renewalPoll  = 100 * time.Millisecond
	renewalLimit = electorRenewDeadline
	// replyRead is for the holder to read them before the network hangs; much less than a RetryPeriod.
	replyRead = 250 * time.Millisecond
)

// arguments are what the replicas get besides those of the contender.
func (t trouble) arguments() []string {
	if t == slowStop {
		return []string{"--stop-takes=" + stopTakes.String()}
	}
	return nil
}

// strike returns when nothing is left to do but to wait for others to take over.
func (t trouble) strike(ctx context.Context, s *stage) error {
	if t == slowStop {
		return end(ctx, s.holder)
	}
	if err := s.awaitRenewal(ctx); err != nil {
		return err
	}
	if err := pause(ctx, replyAfter); err != nil {
		return err
	}
	network := s.networks.Network(s.holder.Name())
	network.Hold(false, true)
	if err := pause(ctx, replyTakes); err != nil {
		return err
	}
	network.Hold(false, false)
	if err := pause(ctx, replyRead); err != nil {
		return err
	}
	network.Hold(true, true)
	return nil
}

// awaitRenewal waits until the holder has renewed one of its Leases.
func (s *stage) awaitRenewal(ctx context.Context) error {
	before, err := s.newestRenewal(ctx)
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, renewalPoll, renewalLimit, false, func(ctx context.Context) (bool, error) {
		now, err := s.newestRenewal(ctx)
		return now.After(before), err
	})
	if err != nil {
		return fmt.Errorf("waited at most %s for %s to renew: %w", renewalLimit, s.holder.Name(), err)
	}
	return nil
}

// newestRenewal is when the holder last renewed any of its Leases, by its clock.
func (s *stage) newestRenewal(ctx context.Context) (newest time.Time, err error) {
	renewals, err := s.renewals(ctx)
	if err != nil {
		return time.Time{}, err
	}
	for i := range s.shards {
		for _, name := range s.renewedLeases(fmt.Sprintf("shard-%d", i)) {
			if at := renewals[name]; at.After(newest) {
				newest = at
			}
		}
	}
	return newest, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

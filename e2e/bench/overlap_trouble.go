// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"
)

// trouble is what happens to the replica that holds all shards. The names of groups and, with underscores, figures begin with it.
type trouble string

const (
	// slowStop: it is told to end, as a kubelet does, and its work takes a while to stop after it was told to.
	//
	// Each contender is used as its authors' own programs do: the signal ends the context that the election runs in, and the Lease
	// is released then (ReleaseOnCancel), since without that every hand-off would take LeaseDuration. client-go asks its users to
	// have ended the work before, and leaves it to them how; controller-runtime waits for it by itself.
	slowStop trouble = "slow-stop"
	// slowReply: answers to it take a while, and after that nothing gets through in either direction any more, while its
	// connections stay open: a network that hangs. The renewals whose answers are late have been carried out.
	slowReply trouble = "slow-reply"
)

func troubles() []trouble { return []trouble{slowStop, slowReply} }

const (
	// stopTakes is how long work goes on after it was told to stop.
	stopTakes = 3 * time.Second
	// replyTakes is how late answers are: longer than a RetryPeriod of electors (2 s), so that each has sent a renewal meanwhile,
	// and shorter than what any contender allows a request (shardctl 3 s, client-go and controller-runtime 5 s, knative the 10 s of
	// its RenewDeadline), so that none of them fails.
	replyTakes = 2500 * time.Millisecond
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

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

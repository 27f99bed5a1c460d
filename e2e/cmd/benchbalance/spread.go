// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"
)

const (
	spreadShards = 50
	startApart   = 200 * time.Millisecond
	spreadTarget = 5 // seconds
	// spreadSteady is how long shares have to stay even to count.
	spreadSteady = 3 * time.Second
)

// measureSpread lets a few and many replicas share.
func measureSpread(ctx context.Context, b *bench) error {
	for _, replicas := range []int{3, 10} {
		if err := b.spread(ctx, replicas); err != nil {
			return err
		}
	}
	return nil
}

// spread starts replicas one after the other, kills one, and starts its container again at once, as a kubelet does the first time.
func (b *bench) spread(ctx context.Context, replicas int) error {
	name := fmt.Sprintf("spread-%d", replicas)
	g, err := b.install(ctx, name, spreadShards)
	if err != nil {
		return err
	}
	var pods []string
	ticker := time.NewTicker(startApart)
	defer ticker.Stop()
	for i := range replicas {
		pods = append(pods, fmt.Sprintf("%s-%d", name, i))
		if _, err := g.launch(ctx, pods[i]); err != nil {
			return err
		}
		if i+1 == replicas {
			break
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	began := time.Now()
	even, err := g.awaitEven(ctx, spreadSteady, pods...)
	if err != nil {
		return err
	}
	prefix := fmt.Sprintf("spread_%d_replicas_", replicas)
	b.atMost(spreadTarget, prefix+"seconds", even.Sub(began).Seconds())

	victim := g.replicas[replicas/2]
	ended, err := g.kill(victim)
	if err != nil {
		return err
	}
	if err := victim.Restart(); err != nil {
		return err
	}
	restarted := time.Now()
	if even, err = g.awaitEven(ctx, spreadSteady, pods...); err != nil {
		return err
	}
	b.atMost(spreadTarget, prefix+"after_restart_seconds", even.Sub(restarted).Seconds())
	b.add(prefix+"after_kill_seconds", even.Sub(ended).Seconds())
	return g.fleet.Close()
}

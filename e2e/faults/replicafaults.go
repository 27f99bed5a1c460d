// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"time"
)

// The delays of one direction, and what a client of the group's Leases makes of them: it waits 500 ms for an answer.
const (
	leastDelay = 30 * time.Millisecond
	mostDelay  = 2 * time.Second
)

// kill ends the process without any notice, and starts it again as the same Pod.
func kill(ctx context.Context, r *run) error {
	if err := r.victim.scrape(ctx); err != nil {
		return err
	}
	if err := r.victim.Kill(); err != nil {
		return err
	}
	return errors.Join(r.last(ctx), r.victim.Restart())
}

func pause(ctx context.Context, r *run) error {
	if err := r.victim.Pause(); err != nil {
		return err
	}
	return errors.Join(r.last(ctx), r.victim.Resume())
}

func cut(ctx context.Context, r *run) error {
	r.victim.proxy.Refuse(true)
	r.victim.proxy.Cut()
	defer r.victim.proxy.Heal()
	return r.last(ctx)
}

func delay(ctx context.Context, r *run) error {
	by := r.between(leastDelay, mostDelay)
	if r.first {
		by = mostDelay
	}
	r.tellf("delayed by %s", by)
	r.victim.proxy.Delay(by)
	defer r.victim.proxy.Heal()
	return r.last(ctx)
}

func holdUp(up, down bool) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		r.victim.proxy.Hold(up, down)
		defer r.victim.proxy.Heal()
		return r.last(ctx)
	}
}

func swallow(ctx context.Context, r *run) error {
	r.victim.proxy.Swallow()
	defer r.victim.proxy.Heal()
	return r.last(ctx)
}

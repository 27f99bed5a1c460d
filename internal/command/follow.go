// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
)

// view is the group as a command that follows it sees it.
type view struct {
	snapshot

	// at is when the group was like that: now, or when the connection was lost.
	at time.Time
	// lost is why the API server cannot be reached; nil while it can.
	lost error
}

// tick is how often a group is looked at in which nothing changes: sessions lapse
// by that, and ages grow.
const tick = time.Second

// follow lists and watches the group's Leases and has see look at it, first as it
// is, then after every change, each second, and when the connection is lost or
// comes back. Changes that come while it looks, and for pace after that, are seen
// together. It returns when see has seen enough or fails, with the cause of the
// end of the context, or when the API server refuses to let it watch.
func (g *group) follow(ctx context.Context, pace time.Duration, see func(view) (enough bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &follower{group: g, changed: make(chan struct{}, 1), leases: map[string]*coordinationv1.Lease{}}
	var tasks errgroup.Group
	tasks.Go(func() error {
		f.reflect(ctx)
		return nil
	})
	tasks.Go(func() error {
		defer cancel()
		return f.look(ctx, pace, see)
	})
	return tasks.Wait()
}

// look has see look, until it has seen enough.
func (f *follower) look(ctx context.Context, pace time.Duration, see func(view) (bool, error)) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		v, ready, err := f.view()
		if err != nil {
			return err
		}
		if ready {
			if enough, err := see(v); enough || err != nil {
				return err
			}
			if err := pause(ctx, pace); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.changed:
		case <-ticker.C:
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// view is what there is to see; nothing before the first list.
func (f *follower) view() (v view, ready bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.listed {
		return view{}, false, f.refused
	}
	// While the connection is lost nobody's heartbeats are seen, and nobody lapses
	// by that: the time stands still.
	v = view{at: time.Now(), lost: f.lost}
	if f.lost != nil || v.at.Sub(f.foundAt) < settling {
		v.at = f.lostAt
	}
	leases := make([]coordinationv1.Lease, 0, len(f.leases))
	for _, l := range f.leases {
		leases = append(leases, *l)
	}
	v.snapshot = f.group.snapshot(leases, v.at)
	return v, true, f.refused
}

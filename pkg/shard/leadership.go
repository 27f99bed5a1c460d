// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"

	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Leader is who holds a shard.
type Leader = lease.Leader

// Chronicle tells who holds which shard and who is a member, as this replica's watch shows
// it: how things stand, and every change, in order.
func (g *Group) Chronicle() *lease.Chronicle { return g.mirror.Chronicle() }

// Holding is the term that this replica has of a role now, also while it is being given
// away. Whether it may still be acted on, [Term.Valid] says.
func (g *Group) Holding(role string) (t *Term, held bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var newest *tenure
	for t := range g.tenures {
		if t.term.Shard() == role && (newest == nil || t.id.Number > newest.id.Number) {
			newest = t
		}
	}
	if newest == nil || !newest.term.Valid() {
		return nil, false
	}
	return newest.term, true
}

// announceLoop tells the role who leads it: at first, and whenever that is somebody else,
// leaving out nobody.
func (r *role) announceLoop(ctx context.Context, c *lease.Chronicle) error {
	var last Leader
	for {
		standing := c.Standing()
		last = r.announce(ctx, last, standing.Leaders[r.Name])
		for after, complete := standing.ID, true; complete; {
			var changes []lease.Change
			var more <-chan struct{}
			changes, complete, more = c.Since(after)
			for _, change := range changes {
				after = change.ID
				if change.Leader.Shard == r.Name {
					last = r.announce(ctx, last, change.Leader)
				}
			}
			if len(changes) > 0 || !complete {
				continue
			}
			select {
			case <-more:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// announce tells the role of its leader, unless it knows.
func (r *role) announce(ctx context.Context, last, now Leader) Leader {
	if now.Holder == "" || now == last {
		return last
	}
	r.call(ctx, "OnNewLeader", func() { r.OnNewLeader(now) })
	return now
}

// call runs what belongs to the role's program. Its panic must not end the replica.
func (r *role) call(ctx context.Context, what string, callback func()) {
	defer func() {
		if p := recover(); p != nil {
			klog.FromContext(ctx).Error(nil, "A callback of a role panicked", "role", r.Name, "callback", what, "panic", p)
		}
	}()
	callback()
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"time"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/hook"
	"github.com/shardctl/shardctl/pkg/shard"
)

// firing is what a hook gets that a schedule calls.
type firing struct {
	Role          string    `json:"role"`
	Key           string    `json:"key"`
	ScheduledTime time.Time `json:"scheduledTime"`
	Epoch         int32     `json:"epoch"`
	Token         int64     `json:"token,string"` // a number that JavaScript, say, would round
	Repeated      bool      `json:"repeated"`
}

// schedule makes the schedule of a role, which calls its hook.
func (w *workshop) schedule(t *team, role config.Role) (shard.Schedule, error) {
	caller, err := t.hook(role.Schedule.Action)
	if err != nil {
		return shard.Schedule{}, fmt.Errorf("schedule: %w", err)
	}
	s := role.Schedule
	return shard.Schedule{
		Name: role.Name, Cron: s.Cron, TimeZone: s.TimeZone, StartingDeadline: s.StartingDeadline,
		Concurrency: s.Concurrency, Delivery: s.Delivery, Suspend: s.Suspend, Grace: s.Grace,
		Run: func(ctx context.Context, f shard.Firing) error {
			ctx = hook.WithFiring(tellHooks(ctx), hook.Firing{Key: f.Key, Scheduled: f.Scheduled})
			return caller.Call(ctx, firing{
				Role: f.Schedule, Key: f.Key, ScheduledTime: f.Scheduled.UTC(), Epoch: f.Epoch, Token: f.Token, Repeated: f.Repeated,
			}, nil)
		},
	}, nil
}

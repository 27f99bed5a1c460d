// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"

	"github.com/shardctl/shardctl/internal/child"
	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/hook"
	"github.com/shardctl/shardctl/internal/probe"
	"github.com/shardctl/shardctl/pkg/shard"
)

// work is what is done while a role without a type is held, but for a schedule.
func (w *workshop) work(role config.Role) (func(context.Context) error, error) {
	if role.Lead != nil {
		return w.local.lead(role.Name), nil
	}
	c, err := child.New(child.Options{
		Command: role.Exec.Command, Env: environment(role.Exec.Env), TerminationGrace: role.Exec.TerminationGrace,
		Restart: child.Backoff{Initial: role.Exec.RestartInitial, Max: role.Exec.RestartMax},
		Pod:     w.self,
	})
	if err != nil {
		return nil, fmt.Errorf("exec: %w", err)
	}
	return c.Run, nil
}

// environment is the variables as a process gets them.
func environment(variables []hook.EnvVar) []string {
	all := make([]string, len(variables))
	for i, v := range variables {
		all[i] = v.Name + "=" + v.Value
	}
	return all
}

// gate has the readiness of a role looked at; nil if there is none.
func (w *workshop) gate(r *config.Readiness) (*shard.Gate, error) {
	if r == nil {
		return nil, nil
	}
	check, err := probe.New(r.Probe, w.pod)
	if err != nil {
		return nil, err
	}
	return &shard.Gate{
		Check: check, Interval: r.Interval, Timeout: r.Timeout,
		FailureThreshold: r.FailureThreshold, SuccessThreshold: r.SuccessThreshold,
	}, nil
}

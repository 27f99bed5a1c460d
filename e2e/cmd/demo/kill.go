// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

// takeOverTimeout is far above what it takes (the LeaseDuration of 6 s and at most 1 s): a slow machine is not a failure.
const takeOverTimeout = 45 * time.Second

// killHolder kills the holder of the first type, shows who takes its types over, and replaces it.
func (d *demo) killHolder(ctx context.Context) error {
	before, err := d.fleet.Status(ctx)
	if err != nil {
		return err
	}
	pod, held := fleet.HolderOf(before, d.example.types[0].shard())
	victim := d.fleet.Replica(pod)
	if !held || victim == nil {
		return fmt.Errorf("nobody holds %s, though all types were held a moment ago", d.example.types[0].shard())
	}
	lost := d.typesOf(before, pod)
	d.stepf("kill -9 of %s (process %d), which leads %s. Objects are being changed all the while.", pod, victim.PID(), plurals(lost))
	err = d.objects.changing(ctx, func(ctx context.Context) error {
		if err := victim.Kill(); err != nil {
			return err
		}
		return d.watchTakeOver(ctx, pod, lost)
	})
	if err != nil {
		return err
	}
	replacement, err := d.launch(ctx)
	if err != nil {
		return err
	}
	if err := d.awaitSpread(ctx); err != nil {
		return err
	}
	d.stepf("Started %s in its place:", replacement.Name())
	if err := d.printStatus(ctx); err != nil {
		return err
	}
	return d.awaitReconciled(ctx)
}

// watchTakeOver waits until others lead, and write, what the replica led that was killed a moment ago.
func (d *demo) watchTakeOver(ctx context.Context, victim string, lost []exampleType) error {
	killed, changesBefore := time.Now(), d.objects.changes.Load()
	var slowest time.Duration
	for _, t := range lost {
		what := fmt.Sprintf("another replica than %s to take over %s", victim, t.resource.Resource)
		now, err := d.fleet.WaitFor(ctx, takeOverTimeout, what, heldByOther(t.shard(), victim))
		if err != nil {
			return err
		}
		heir, _ := fleet.HolderOf(now, t.shard())
		acquired, err := d.fleet.AcquiredAt(ctx, t.shard())
		if err != nil {
			return err
		}
		slowest = max(slowest, acquired.Sub(killed))
		text := fmt.Sprintf("%s took over %s after %s", heir, t.resource.Resource, seconds(acquired.Sub(killed)))
		wrote, known, err := d.writers.awaitWrite(ctx, t, victim, killed)
		if err != nil {
			return d.withStatus(ctx, err)
		}
		if known {
			text += fmt.Sprintf(", and the first status was written after %s", seconds(wrote.Sub(killed)))
		}
		d.linef("    %s", text)
	}
	d.linef("    %d changes were made in that time, to objects of all types.", d.objects.changes.Load()-changesBefore)
	d.concludef("%s was killed by SIGKILL; others led its types (%s) after %s.", victim, plurals(lost), seconds(slowest))
	return nil
}

func heldByOther(shard, pod string) fleet.Condition {
	return func(s status.Status) error {
		if holder, held := fleet.HolderOf(s, shard); !held || holder == pod {
			return fmt.Errorf("%s is held by %q", shard, holder)
		}
		return nil
	}
}

// typesOf are the types that the Pod leads.
func (d *demo) typesOf(s status.Status, pod string) []exampleType {
	var led []exampleType
	for _, t := range d.example.types {
		if holder, held := fleet.HolderOf(s, t.shard()); held && holder == pod {
			led = append(led, t)
		}
	}
	return led
}

func plurals(types []exampleType) string {
	var names []string
	for _, t := range types {
		names = append(names, t.resource.Resource)
	}
	return strings.Join(names, " and ")
}

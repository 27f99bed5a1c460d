// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

const (
	joinTimeout = 30 * time.Second
	// exitTimeout is what a kubelet allows by default.
	exitTimeout = 30 * time.Second
	// nextRevision is the second one, as a Deployment counts when it is restarted.
	nextRevision = "--revision=2"
)

// rollingRestart replaces all replicas as a Deployment with maxSurge 1 does, while objects are changed.
func (d *demo) rollingRestart(ctx context.Context) error {
	before, err := d.fleet.Status(ctx)
	if err != nil {
		return err
	}
	old := d.fleet.Replicas()
	d.stepf("Rolling restart: a new replica is started, an old one gets SIGTERM, %d times. Objects are being changed all the while.", len(old))
	var slowest time.Duration
	err = d.objects.changing(ctx, func(ctx context.Context) error {
		for _, replica := range old {
			took, err := d.replace(ctx, replica)
			if err != nil {
				return err
			}
			slowest = max(slowest, took)
		}
		return d.awaitSpread(ctx)
	})
	if err != nil {
		return err
	}
	after, err := d.fleet.Status(ctx)
	if err != nil {
		return err
	}
	d.concludef("%d replicas were replaced one by one: %d types changed hands %d times, every exit code was 0, the slowest exit took %d ms.",
		len(old), len(d.example.types), changesOfHands(after)-changesOfHands(before), slowest.Milliseconds())
	d.stepf("All replicas are new:")
	if err := d.printStatus(ctx); err != nil {
		return err
	}
	if err := d.awaitReconciled(ctx); err != nil {
		return err
	}
	return d.printWriters(ctx)
}

// replace starts a replica, ends another once that has its first type, and returns how long the end took.
func (d *demo) replace(ctx context.Context, old *fleet.Replica) (time.Duration, error) {
	next, err := d.launch(ctx, nextRevision)
	if err != nil {
		return 0, err
	}
	if _, err := d.fleet.WaitFor(ctx, joinTimeout, next.Name()+" to lead something", fleet.Leads(next.Name())); err != nil {
		return 0, err
	}
	leaving, cancel := context.WithTimeout(ctx, exitTimeout)
	defer cancel()
	exit, err := old.Terminate(leaving)
	if err != nil {
		return 0, err
	}
	if exit.Code != 0 {
		return 0, fmt.Errorf("%s ended with %s after SIGTERM, not with exit status 0; its log is %s", old.Name(), exit.State, old.LogPath())
	}
	now, err := d.fleet.WaitFor(ctx, joinTimeout, "all types to be held without "+old.Name(),
		fleet.All(fleet.Gone(old.Name()), fleet.Held(len(d.example.types))))
	if err != nil {
		return 0, err
	}
	d.linef("    %s joined, %s handed over and exited with 0 after %d ms; now %s", next.Name(), old.Name(), exit.Took.Milliseconds(), spread(now))
	return exit.Took, nil
}

// spread says who leads how many types.
func spread(s status.Status) string {
	counts := fleet.SpreadOf(s)
	var text []string
	for _, pod := range slices.Sorted(maps.Keys(counts)) {
		text = append(text, fmt.Sprintf("%s leads %d", pod, counts[pod]))
	}
	return strings.Join(text, ", ")
}

// changesOfHands is how often the shards have changed hands, ever.
func changesOfHands(s status.Status) int {
	sum := 0
	for _, shard := range s.Shards {
		sum += int(shard.Epoch)
	}
	return sum
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

const (
	restShards, restShardsQuickly = 200, 3
	restReplicas                  = 3
	// The time of processors is known in hundredths of a second: of those that hardly use one it takes a minute until that is fine
	// enough.
	restWindow        = time.Minute
	restWindowBusy    = 20 * time.Second
	restWindowQuickly = time.Second
)

// resting are contenders that are looked at together.
type resting struct {
	who    []contender
	window time.Duration
}

// allAtRest puts those together that ask the API server a few times per second. Those whose every shard has a Lease of its own ask a
// hundred times as often: each of them is alone, so that nobody else's replicas have slow answers for it.
func (b *bench) allAtRest() []resting {
	quiet, turns := resting{window: restWindow}, []resting{}
	for _, who := range contenders() {
		if who == clientGo || who == knative {
			turns = append(turns, resting{[]contender{who}, restWindowBusy})
		} else {
			quiet.who = append(quiet.who, who)
		}
	}
	turns = append(turns, quiet)
	if b.quick {
		for i := range turns {
			turns[i].window = restWindowQuickly
		}
	}
	return turns
}

// measureRest looks at the processes of a group at rest: all shards are worked for by work that only waits, and nothing happens.
// Figures are the mean of the replicas and that of the busiest, since not all have the same to do: with controller-runtime one has
// everything, with ours each has its share, and one of them leads. All are the same program, so what is resident of its text and
// libraries is the same for all.
func measureRest(ctx context.Context, b *bench) error {
	for _, turn := range b.allAtRest() {
		if err := b.rest(ctx, turn); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) rest(ctx context.Context, turn resting) error {
	var groups []*group
	for _, who := range turn.who {
		g, err := b.restGroup(ctx, who)
		if err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
		groups = append(groups, g)
	}
	before := make([][]footprint, len(groups))
	began := make([]time.Time, len(groups))
	for i, g := range groups {
		var err error
		began[i] = time.Now()
		if before[i], err = g.footprints(); err != nil {
			return err
		}
	}
	if err := pause(ctx, turn.window); err != nil {
		return err
	}
	suffix := fmt.Sprintf("_%d_shards_%d_replicas", b.restShards(), restReplicas)
	for i, g := range groups {
		took := time.Since(began[i])
		after, err := g.footprints()
		if err != nil {
			return err
		}
		if err := g.fleet.UnexpectedEnd(); err != nil {
			return err // it was not the group that it should be
		}
		b.addFootprints(turn.who[i], suffix, before[i], after, took)
	}
	for _, g := range groups {
		if err := g.fleet.Close(); err != nil {
			return err
		}
	}
	return nil
}

// restShards is how many each group has.
func (b *bench) restShards() int {
	if b.quick {
		return restShardsQuickly
	}
	return restShards
}

// restGroup starts a group whose replicas know who works for what.
func (b *bench) restGroup(ctx context.Context, who contender) (*group, error) {
	g, err := b.install(ctx, "rest-"+strings.NewReplacer(", ", "-", " ", "-").Replace(string(who)), b.restShards())
	if err != nil {
		return nil, err
	}
	var pods []string
	for i := range restReplicas {
		pods = append(pods, fmt.Sprintf("%s-%d", g.name, i))
		if _, err := g.launch(ctx, pods[i], append(who.args(), "--idle")...); err != nil {
			return nil, err
		}
	}
	return g, g.awaitDecided(ctx, who, b.steady(), pods...)
}

// addFootprints adds the mean and the most of each thing.
func (b *bench) addFootprints(who contender, suffix string, before, after []footprint, took time.Duration) {
	add := func(name, unit string, of func(i int) float64) {
		var values []float64
		mean := 0.0
		for i := range after {
			values = append(values, of(i))
			mean += of(i) / float64(len(after))
		}
		b.sample(name+suffix, who, unit, values)
		b.add(figure{Name: name + suffix, Who: who, Unit: unit, Value: mean})
		b.add(figure{Name: "busiest_" + name + suffix, Who: who, Unit: unit, Value: slices.Max(values)})
	}
	add("cpu_per_minute", "s", func(i int) float64 { return (after[i].cpu - before[i].cpu) / took.Minutes() })
	add("resident_memory", "MB", func(i int) float64 { return after[i].resident / megabyte })
	add("own_memory", "MB", func(i int) float64 { return after[i].own / megabyte })
	add("connections", "", func(i int) float64 { return after[i].connections })
}

// footprint is what a process takes of the machine.
type footprint struct {
	cpu           float64 // seconds of processor time so far, in hundredths
	resident, own float64 // bytes of memory: all that is resident, and what is not of files, so shared with nobody
	connections   float64 // sockets that are open
}

func (g *group) footprints() ([]footprint, error) {
	var all []footprint
	for _, r := range g.replicas {
		f, err := footprintOf(r.PID())
		if err != nil {
			return nil, fmt.Errorf("footprint of %s: %w", r.Name(), err)
		}
		all = append(all, f)
	}
	return all, nil
}

func footprintOf(pid int) (footprint, error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return footprint{}, err
	}
	stat, statErr := process.Stat()
	status, statusErr := process.NewStatus()
	descriptors, descriptorsErr := process.FileDescriptorTargets()
	if err := errors.Join(statErr, statusErr, descriptorsErr); err != nil {
		return footprint{}, err
	}
	f := footprint{cpu: stat.CPUTime(), resident: float64(status.VmRSS), own: float64(status.RssAnon)}
	for _, target := range descriptors {
		if strings.HasPrefix(target, "socket:") {
			f.connections++
		}
	}
	return f, nil
}

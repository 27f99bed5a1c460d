// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

const (
	restShards, restShardsQuickly = 200, 3
	restReplicas                  = 3
	restWindow                    = 20 * time.Second
	restWindowQuickly             = time.Second
)

// measureRest looks at the processes of a group at rest: all shards are worked for by work that only waits, and nothing happens.
// Figures are the mean of the replicas, since not all have the same to do: with controller-runtime one has everything, with ours
// each has its share. All are the same program, so what is resident of its text and libraries is the same for all.
func measureRest(ctx context.Context, b *bench) error {
	for _, who := range contenders() {
		if err := b.rest(ctx, who); err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
	}
	return nil
}

func (b *bench) rest(ctx context.Context, who contender) error {
	shards, window := restShards, restWindow
	if b.quick {
		shards, window = restShardsQuickly, restWindowQuickly
	}
	g, err := b.install(ctx, "rest-"+strings.NewReplacer(", ", "-", " ", "-").Replace(string(who)), shards)
	if err != nil {
		return err
	}
	var pods []string
	for i := range restReplicas {
		pods = append(pods, fmt.Sprintf("%s-%d", g.name, i))
		if _, err := g.launch(ctx, pods[i], append(who.args(), "--idle")...); err != nil {
			return err
		}
	}
	if err := g.awaitDecided(ctx, who, b.steady(), pods...); err != nil {
		return err
	}
	before, err := g.footprints()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, window); err != nil {
		return err
	}
	after, err := g.footprints()
	if err != nil {
		return err
	}
	b.addFootprints(who, fmt.Sprintf("_%d_shards_%d_replicas", shards, restReplicas), before, after, time.Since(began))
	if err := g.fleet.UnexpectedEnd(); err != nil {
		return err // it was not the group that it should be
	}
	return g.fleet.Close()
}

// addFootprints adds the mean of each thing.
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

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shardctl/shardctl/e2e/durations"
)

const (
	// Each contender is measured with overlapShards shards at a time, in so many rounds: 60 samples.
	overlapShards = 20
	overlapRounds = 3
	// overlapGroups share the shards of controller-runtime in each round: it has one Lease for all of a group, so that all samples
	// of a group are the same. There are 15 of them in all.
	overlapGroups = 5
)

// measureOverlaps has one replica hold all shards, with two stand-bys, makes trouble for it, and looks at how long two replicas
// worked for a shard at once and how long none did.
//
// The contenders are measured at the same time: what matters takes seconds, and is read from what the replicas note. A round that
// fails costs the figures of its contender only.
func measureOverlaps(ctx context.Context, b *bench) error {
	var errs []error
	measured := map[overlapCase]overlapResult{}
	failed := map[overlapCase]bool{}
	waves := overlapWaves(b.quick)
	for i, wave := range waves {
		b.tellf("overlaps of all contenders, round %d of %d", i+1, len(waves))
		outcomes, err := b.overlapWave(ctx, wave)
		if err != nil {
			return err
		}
		for _, o := range outcomes {
			failed[o.of] = failed[o.of] || o.err != nil
			errs = append(errs, o.err)
			of := measured[o.of]
			measured[o.of] = overlapResult{append(of.tallies, o.tallies...), of.holders + 1}
		}
		if ctx.Err() != nil {
			return errors.Join(errs...)
		}
	}
	for _, t := range troubles() {
		for _, who := range t.contenders() {
			if of := (overlapCase{t, who}); len(measured[of].tallies) > 0 && !failed[of] {
				b.addOverlaps(of, measured[of])
			}
		}
	}
	return errors.Join(errs...)
}

// overlapCase is what a figure is about.
type overlapCase struct {
	trouble trouble
	who     contender
}

// overlapResult is what all rounds of a case have come to. All shards of a holder are lost together, so how many of those there
// were counts too.
type overlapResult struct {
	tallies []tally // one per shard
	holders int
}

// overlapPlan is one group in one round.
type overlapPlan struct {
	overlapCase
	name   string // of the group
	shards int
}

// overlapWaves are all plans, those together that are carried out at the same time.
//
// In a hurry all are at the same time, and only the session mode of shardctl has to wait until a Lease runs out.
func overlapWaves(quick bool) [][]overlapPlan {
	if quick {
		var wave []overlapPlan
		for _, who := range slowStop.contenders() {
			wave = append(wave, overlapPlans(overlapCase{slowStop, who}, 0, 1, 2)...)
		}
		return [][]overlapPlan{append(wave, overlapPlans(overlapCase{slowReply, session}, 0, 1, 2)...)}
	}
	var waves [][]overlapPlan
	for _, t := range troubles() {
		for round := range overlapRounds {
			var wave []overlapPlan
			for _, who := range t.contenders() {
				groups := 1
				if who == controllerRuntime {
					groups = overlapGroups
				}
				wave = append(wave, overlapPlans(overlapCase{t, who}, round, groups, overlapShards/groups)...)
			}
			waves = append(waves, wave)
		}
	}
	return waves
}

func overlapPlans(of overlapCase, round, groups, shards int) []overlapPlan {
	var plans []overlapPlan
	for i := range groups {
		name := fmt.Sprintf("%s-%d-%d-%d", of.trouble, slices.Index(of.trouble.contenders(), of.who), round, i)
		plans = append(plans, overlapPlan{overlapCase: of, name: name, shards: shards})
	}
	return plans
}

// overlapOutcome is what a plan has come to.
type overlapOutcome struct {
	of      overlapCase
	tallies []tally // one per shard
	err     error
}

// overlapWave carries out plans at the same time. Its error is of what they have in common.
func (b *bench) overlapWave(ctx context.Context, plans []overlapPlan) ([]overlapOutcome, error) {
	var stages []*stage
	for _, p := range plans {
		s, err := b.setStage(ctx, p)
		if err != nil {
			return nil, errors.Join(err, closeStages(stages))
		}
		stages = append(stages, s)
	}
	outcomes := make([]overlapOutcome, len(plans))
	var running sync.WaitGroup
	for i, s := range stages {
		running.Go(func() {
			tallies, err := s.play(ctx)
			outcomes[i] = overlapOutcome{of: plans[i].overlapCase, tallies: tallies, err: err}
		})
	}
	running.Wait()
	return outcomes, closeStages(stages)
}

func closeStages(stages []*stage) error {
	var errs []error
	for _, s := range stages {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// addOverlaps adds the figures of one case. The overlap's median and maximum are of the shards that had two workers; the gap's of
// all shards: the time between two holders that nobody worked, so that no overlap that is avoided by waiting looks free.
func (b *bench) addOverlaps(of overlapCase, seen overlapResult) {
	all := seen.tallies
	var overlaps, perShard, gaps []time.Duration
	for _, t := range all {
		if t.several > 0 {
			overlaps = append(overlaps, t.several)
		}
		perShard, gaps = append(perShard, t.several), append(gaps, t.nobody)
	}
	prefix := strings.ReplaceAll(string(of.trouble), "-", "_") + "_"
	add := func(what, unit string, value float64) figure {
		return figure{Name: prefix + what, Who: of.who, Unit: unit, Value: value}
	}
	count := add("overlaps", "", float64(len(overlaps)))
	if of.who == session || of.who == leaseMode {
		count = count.atMost(0) // what the design guarantees
	}
	b.add(count)
	b.add(add("shards", "", float64(len(all))))
	b.add(add("holders", "", float64(seen.holders)))
	b.add(add("overlap_share", "%", 100*float64(len(overlaps))/float64(len(all))))
	b.add(add("overlap_median", "s", durations.Quantile(overlaps, 0.5).Seconds()))
	b.add(add("overlap_max", "s", durations.Quantile(overlaps, 1).Seconds()))
	b.add(add("gap_median", "s", durations.Quantile(gaps, 0.5).Seconds()))
	b.add(add("gap_max", "s", durations.Quantile(gaps, 1).Seconds()))
	b.sample(prefix+"overlap", of.who, "s", inSeconds(perShard))
	b.sample(prefix+"gap", of.who, "s", inSeconds(gaps))
}

func inSeconds(all []time.Duration) []float64 {
	values := make([]float64, len(all))
	for i, d := range all {
		values[i] = d.Seconds()
	}
	return values
}

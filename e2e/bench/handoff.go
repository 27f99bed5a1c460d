// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	handOffRounds = 5
	// Targets of ours in session mode, which is the default; client-go's median is to be so many times as long.
	handOffMedian, handOffP99 = 25, 100 // ms
	handOffTimes              = 50
	// exitLimit is what a kubelet allows a process by default.
	exitLimit = 30 * time.Second
	// handOffGap and allMoved are what gaps are called: those of shards, and those of holders.
	handOffGap = "gap"
	allMoved   = "all_moved_after"
)

// measureHandOffs has holders of everything end as a kubelet ends them in a rolling update, by SIGTERM, one contender after the
// other so that none is in another's way.
//
// A gap is from the return of the old holder's work, the last moment at which that could have written anything, to the first
// instant of the next one's work; it is negative if they overlap. The work itself returns as soon as it is told to: how long it
// takes to stop is the same for all, and no part of the gap.
//
// The others give their Leases back when they end (ReleaseOnCancel), and there are two stand-bys, as in a group of three. So
// what is seen is how long it takes until one of the two polls: every 2 s to 4.4 s each, with client-go's own jitter, at the
// timings that controller-runtime has by default and knative is given. A shorter period would make their gaps shorter, and
// their requests, which the part "requests" counts at these very timings, as many times more.
//
// Nobody hands over everything at the same instant, and shards that are worked for until their turn comes have no gap yet. So there
// is also, for each holder, the time from SIGTERM until others work for all that it had.
//
// In session mode a hand-off is one write, of the holder's. In lease mode, which is there for those who want each Lease
// to mean what client-go's means, the holder releases and the successor claims; it has no targets but that nothing overlaps.
func measureHandOffs(ctx context.Context, b *bench) error {
	var losses []loss
	for i, who := range contenders() {
		losses = append(losses, loss{who, fmt.Sprintf("hand-off-%d", i), handOff})
	}
	atOnce := 1
	if b.quick {
		atOnce = len(losses)
	}
	medians := map[contender]float64{}
	for some := range slices.Chunk(losses, atOnce) {
		b.tellf("hand-offs, from %s on", some[0].who)
		all, err := b.tryRounds(ctx, handOffRounds, some...)
		if err != nil {
			return err
		}
		for _, l := range some {
			of := span{handOffGap, l.who}
			medians[l.who] = b.addHandOffs(of, all[of])
			moved := span{allMoved, l.who}
			p50, _, longest := b.quantiles(moved, "ms", all[moved].gaps) // there are too few holders for a 99th percentile
			b.add(p50)
			b.add(longest)
		}
	}
	for _, who := range []contender{session, leaseMode} {
		times := medians[clientGo] / medians[who]
		ratio := figure{Name: "client_go_gap_p50_times_ours", Who: who, Unit: "times", Value: times}
		if who == session {
			ratio = ratio.atLeast(handOffTimes)
		}
		b.add(ratio)
	}
	return nil
}

// addHandOffs returns the median.
func (b *bench) addHandOffs(of span, seen lapse) float64 {
	p50, p99, longest := b.quantiles(of, "ms", seen.gaps)
	overlaps := figure{Name: "overlaps", Who: of.who, Value: float64(seen.gaps.overlaps())}
	if of.who.ours() {
		overlaps = overlaps.atMost(0)
	}
	if of.who == session {
		p50, p99 = p50.atMost(handOffMedian), p99.atMost(handOffP99)
	}
	for _, f := range []figure{
		p50, p99, longest, overlaps,
		{Name: "samples", Who: of.who, Value: float64(len(seen.gaps))},
		{Name: "holders", Who: of.who, Value: float64(seen.holders)},
	} {
		b.add(f)
	}
	return p50.Value
}

// handOff tells the holder to end.
func handOff(ctx context.Context, t *trial) (map[string]gaps, error) {
	told := time.Now()
	if err := end(ctx, t.holder); err != nil {
		return nil, err
	}
	successors, err := t.awaitSuccessors(ctx)
	if err != nil {
		return nil, err
	}
	h, err := t.history()
	if err != nil {
		return nil, err
	}
	measured := gapsBetween(h.lastWork(t.holder.Name()), successors)
	if len(measured) != t.shards {
		return nil, fmt.Errorf("group %s: %s has ended, but the work for %d of %d shards has not", t.name, t.holder.Name(), t.shards-len(measured), t.shards)
	}
	return map[string]gaps{handOffGap: measured, allMoved: {slices.Max(gapsSince(told, successors))}}, nil
}

// end tells a replica to end, as a kubelet does.
func end(ctx context.Context, r *fleet.Replica) error {
	ctx, cancel := context.WithTimeout(ctx, exitLimit)
	defer cancel()
	exit, err := r.Terminate(ctx)
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("%s ended with %s after SIGTERM, not with exit status 0; its log is %s", r.Name(), exit.State, r.LogPath())
	}
	return nil
}

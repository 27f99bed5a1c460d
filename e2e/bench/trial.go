// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/e2e/durations"
	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

const (
	trialShards = 50
	// trialStandBys makes three replicas, which is what most run. With one stand-by those that poll would be slower than they are
	// in practice: of two, the one that polls first takes over.
	trialStandBys = 2
	// singleLeaseGroups is how many groups of controller-runtime are tried at once: all its work moves together, so each has but
	// one gap.
	singleLeaseGroups = 10
	// holderRevision is above the stand-bys', so that no shard moves to them for balance. Electors know no revisions.
	holderRevision, standByRevision = 2, 1
	// restFor is how long nothing has happened when the holder is told to end: more than any elector's period.
	restFor = 5 * time.Second
	// maxPhase is by how much more that is put off, so that the end comes at no particular moment between two renewals: those of
	// ours are 3 s apart, the others' 2 s.
	maxPhase = 6 * time.Second
	// startsAtOnce bounds how many groups are started at the same time: if dozens of processes start at once, electors may lose
	// what they have got.
	startsAtOnce = 4
	// shortRest is enough to go on if nothing is measured.
	shortRest = time.Second
)

// loss is one way for a contender's holder to end.
type loss struct {
	who  contender
	name string // a DNS label, the beginning of the groups' names
	// lose ends the holder, waits until others work for everything, and returns for how long nobody did, by the name of what that
	// is counted from.
	lose func(ctx context.Context, t *trial) (map[string]gaps, error)
}

// trial is a group that is new, in which one replica, the holder, works for all shards, two others stand by, and nothing else
// happens until the holder ends. Everything is the same for all contenders.
type trial struct {
	*group
	who    contender
	kube   kubernetes.Interface
	holder *fleet.Replica
	hurry  bool            // nothing is measured
	gaps   map[string]gaps // what came of it, as a loss has it
}

// span is what gaps are counted from, and whose they are.
type span struct {
	name string
	who  contender
}

// lapse is what trials have come to: all shards of one holder are lost at once, so how many of those there were counts too.
type lapse struct {
	gaps    gaps
	holders int
}

// tryRounds tries all these losses at the same time, in rounds of groups that are new.
func (b *bench) tryRounds(ctx context.Context, rounds int, losses ...loss) (map[span]lapse, error) {
	if b.quick {
		rounds = 1
	}
	all := map[span]lapse{}
	for round := range rounds {
		trials := map[*trial]loss{}
		for _, l := range losses {
			of, err := b.newTrials(ctx, l, round)
			if err != nil {
				return nil, err
			}
			for _, t := range of {
				trials[t] = l
			}
		}
		if err := b.try(ctx, trials); err != nil {
			return nil, err
		}
		for t := range trials {
			for name, measured := range t.gaps {
				of := all[span{name, t.who}]
				all[span{name, t.who}] = lapse{append(of.gaps, measured...), of.holders + 1}
			}
		}
	}
	return all, nil
}

// newTrials installs the groups of one round: several for whom each gives one gap only.
func (b *bench) newTrials(ctx context.Context, l loss, round int) ([]*trial, error) {
	cp, err := b.controlPlane(ctx)
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(cp.Config())
	if err != nil {
		return nil, err
	}
	groups, shards := 1, trialShards
	if l.who == controllerRuntime {
		groups, shards = singleLeaseGroups, 1
	}
	if b.quick {
		groups, shards = 1, 1
	}
	var trials []*trial
	for i := range groups {
		g, err := b.install(ctx, fmt.Sprintf("%s-%d-%d", l.name, round, i), shards)
		if err != nil {
			return nil, err
		}
		trials = append(trials, &trial{group: g, who: l.who, kube: kube, hurry: b.quick})
	}
	return trials, nil
}

// try goes through trials at the same time. No holder ends before all groups are there, so that no start of a process is in the
// way of what is measured.
func (b *bench) try(ctx context.Context, trials map[*trial]loss) error {
	starts, startCtx := errgroup.WithContext(ctx)
	starts.SetLimit(startsAtOnce)
	for t := range trials {
		starts.Go(func() error { return t.start(startCtx) })
	}
	if err := starts.Wait(); err != nil {
		return err
	}
	losses, lossCtx := errgroup.WithContext(ctx)
	for t, l := range trials {
		losses.Go(func() (err error) {
			if err = t.rest(lossCtx); err != nil {
				return err
			}
			t.gaps, err = l.lose(lossCtx, t)
			return errors.Join(err, t.fleet.UnexpectedEnd()) // of a stand-by: gaps would be longer, or come of other hand-offs
		})
	}
	if err := losses.Wait(); err != nil {
		return err
	}
	var errs []error
	for t := range trials {
		errs = append(errs, t.fleet.Close())
	}
	return errors.Join(errs...)
}

// start is over when the holder has everything and the stand-bys know it.
func (t *trial) start(ctx context.Context) (err error) {
	if t.holder, err = t.launchAs(ctx, "holder", holderRevision); err != nil {
		return err
	}
	if _, err := t.awaitEven(ctx, 0, t.holder.Name()); err != nil {
		return err
	}
	for i := range trialStandBys {
		standBy, err := t.launchAs(ctx, fmt.Sprintf("stand-by-%d", i), standByRevision)
		if err != nil {
			return err
		}
		if err := t.awaitStandBy(ctx, standBy.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) launchAs(ctx context.Context, part string, revision int) (*fleet.Replica, error) {
	args := append(t.who.args(), "--idle", fmt.Sprintf("--revision=%d", revision))
	return t.launch(ctx, t.name+"-"+part, args...)
}

// awaitStandBy waits until a replica would take over: ours once the others know that it is ready, the others' once it has seen
// who holds what.
func (t *trial) awaitStandBy(ctx context.Context, pod string) error {
	if t.who.ours() {
		_, err := t.fleet.WaitFor(ctx, heldLimit, pod+" to be ready", func(s status.Status) error {
			if _, ok := fleet.SpreadOf(s)[pod]; !ok {
				return errors.New("it is not")
			}
			return nil
		})
		return err
	}
	return t.await(ctx, pod+" to stand by", func(h history) error {
		if n := h.watched(pod); n < t.shards {
			return fmt.Errorf("%d of %d of its electors do", n, t.shards)
		}
		return nil
	})
}

// rest returns at no particular moment of a time in which nothing happens.
func (t *trial) rest(ctx context.Context) error {
	still, phase := restFor, rand.N(maxPhase)
	if t.hurry {
		still, phase = shortRest, 0
	}
	if _, err := t.awaitEven(ctx, still, t.holder.Name()); err != nil {
		return errors.Join(err, t.fleet.UnexpectedEnd())
	}
	return pause(ctx, phase)
}

// awaitSuccessors waits until others work for everything that the holder had, and returns since when.
func (t *trial) awaitSuccessors(ctx context.Context) (successors map[string]time.Time, err error) {
	err = t.await(ctx, "others to work for all shards", func(h history) error {
		if successors = h.successors(t.holder.Name()); len(successors) < t.shards {
			return fmt.Errorf("%d of %d are worked for", len(successors), t.shards)
		}
		return nil
	})
	return successors, err
}

// quantiles are the figures of some gaps, whose samples are kept.
func (b *bench) quantiles(of span, unit string, measured gaps) (p50, p99, longest figure) {
	units := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second}
	b.sample(of.name, of.who, unit, measured.in(units[unit]))
	at := func(quantile string, share float64) figure {
		value := float64(durations.Quantile(measured, share)) / float64(units[unit])
		return figure{Name: of.name + "_" + quantile, Who: of.who, Unit: unit, Value: value}
	}
	return at("p50", 0.5), at("p99", 0.99), at("max", 1)
}

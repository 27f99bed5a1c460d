// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// restForQuick is enough for stand-bys to have seen who holds what.
const restForQuick = time.Second

// stage is where a plan is carried out: a trial each of whose replicas has a network of its own.
type stage struct {
	*trial
	plan     overlapPlan
	quick    bool
	networks *fleet.Networked
}

// setStage installs the group of a plan.
func (b *bench) setStage(ctx context.Context, p overlapPlan) (*stage, error) {
	cp, err := b.controlPlane(ctx)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the program that replicas run: %w", err)
	}
	networks := fleet.Networks(cp)
	f, err := fleet.New(ctx, fleet.Options{
		Cluster: networks, Binary: self, Dir: filepath.Join(b.dir, p.name),
		Config: configuration(p.name, nothingWatched), LayoutRecord: true,
	})
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(cp.Config())
	if err != nil {
		return nil, err
	}
	g := &group{fleet: f, name: p.name, shards: p.shards}
	b.groups = append(b.groups, g)
	return &stage{trial: &trial{group: g, who: p.who, kube: kube}, plan: p, quick: b.quick, networks: networks}, nil
}

// close kills the replicas.
func (s *stage) close() error { return errors.Join(s.fleet.Close(), s.networks.Close()) }

// play goes from the first replica, which gets all shards, to its successors, and returns what became of each shard since the
// trouble began.
func (s *stage) play(ctx context.Context) ([]tally, error) {
	fail := func(err error) ([]tally, error) {
		return nil, fmt.Errorf("%s of %s: %w", s.plan.trouble, s.who, err)
	}
	if err := s.assemble(ctx); err != nil {
		return fail(err)
	}
	since := time.Now()
	if err := s.plan.trouble.strike(ctx, s); err != nil {
		return fail(err)
	}
	var all history
	err := s.await(ctx, "others to work for all shards", func(h history) error {
		all = h
		return workersAfter(h).missingSuccessor(s.shards, s.holder.Name())
	})
	if s.plan.trouble == slowStop { // after the other, electors end their process by themselves
		err = errors.Join(err, s.fleet.UnexpectedEnd())
	}
	if err != nil {
		return fail(err)
	}
	return slices.Collect(maps.Values(all.tallies(since))), nil
}

// assemble launches the holder of all shards, and then those that stand by.
func (s *stage) assemble(ctx context.Context) (err error) {
	if s.holder, err = s.start(ctx, "holder", holderRevision); err != nil {
		return err
	}
	if _, err := s.awaitEven(ctx, 0, s.holder.Name()); err != nil {
		return err
	}
	for i := range trialStandBys {
		standBy, err := s.start(ctx, fmt.Sprintf("stand-by-%d", i), standByRevision)
		if err != nil {
			return err
		}
		if err := s.awaitStandBy(ctx, standBy.Name()); err != nil {
			return err
		}
	}
	if s.quick {
		_, err = s.awaitEven(ctx, restForQuick, s.holder.Name())
		return err
	}
	return s.rest(ctx)
}

func (s *stage) start(ctx context.Context, part string, revision int) (*fleet.Replica, error) {
	args := append(s.who.args(), fmt.Sprintf("--revision=%d", revision))
	return s.launch(ctx, s.name+"-"+part, append(args, s.plan.trouble.arguments()...)...)
}

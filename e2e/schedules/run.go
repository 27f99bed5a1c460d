// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
)

const (
	// beginLimit bounds the wait for all schedules to be under way, endLimit that for the oracle to have seen everything.
	beginLimit = 90 * time.Second
	endLimit   = time.Minute
	// guardInterval is how often it is looked whether the replicas are there.
	guardInterval = 200 * time.Millisecond
)

// Run strikes a group of its own, strike after strike in an order that is up to chance, and reports what has become of every
// tick. What it has started has ended when it returns; what it has made in the cluster stays. There is one run per control
// plane.
func Run(ctx context.Context, o Options) (report Report, err error) {
	if o.Tellf == nil {
		o.Tellf = func(string, ...any) {}
	}
	g, err := start(ctx, o)
	defer func() { err = errors.Join(err, g.close()) }()
	if err != nil {
		return report, err
	}
	client, err := kubernetes.NewForConfig(o.ControlPlane.Config())
	if err != nil {
		return report, err
	}
	s := &striker{group: g, leases: client.CoordinationV1().Leases(g.name), chance: rand.New(rand.NewPCG(o.Seed, 0))}
	running, ctx := errgroup.WithContext(ctx)
	ctx, done := context.WithCancel(ctx)
	defer done()
	running.Go(func() error { return g.chronicle.followLoop(ctx) })
	running.Go(func() error { return g.guardLoop(ctx) })
	running.Go(func() error {
		defer done()
		var err error
		report.Struck, err = s.strikeAll(ctx, o.Tellf)
		return err
	})
	if err := running.Wait(); err != nil {
		return report, err
	}
	if err := g.chronicle.takeOver(); err != nil {
		return report, err
	}
	calls := g.hook.all()
	if err := g.writeEvidence(filepath.Join(o.Dir, evidenceFile), calls); err != nil {
		return report, err
	}
	for _, r := range g.roles {
		report.Verdicts = append(report.Verdicts, Judge(r, g.chronicle.history(r.Name), calls))
	}
	return report, nil
}

// evidenceFile is what is judged, for people.
const evidenceFile = "evidence.log"

func (g *group) writeEvidence(path string, calls []Call) error {
	var text bytes.Buffer
	for _, r := range g.roles {
		for _, e := range g.chronicle.history(r.Name) {
			fmt.Fprintf(&text, "%s: revision %d, epoch %d, holder %q, left %s: %+v\n", r.Name, e.Revision, e.Epoch, e.Holder, e.Left, e.Record)
		}
		for _, c := range calls {
			if c.Role == r.Name {
				fmt.Fprintf(&text, "%s: called for %s in epoch %d, repeated: %t, answered: %t\n", c.Role, c.Key, c.Epoch, c.Repeated, c.Answered)
			}
		}
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write down what is judged: %w", err)
	}
	return nil
}

// guardLoop returns an error once a replica has ended that nobody has told to, until ctx is done.
func (g *group) guardLoop(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := g.fleet.UnexpectedEnd(); err != nil {
			return err
		}
		_ = sleep(ctx, guardInterval) // the loop looks at ctx
	}
	return nil
}

// strikeAll does every strike, and has all replicas leave in order when the last is overcome.
func (s *striker) strikeAll(ctx context.Context, tellf func(string, ...any)) ([]Struck, error) {
	if err := s.awaitBegin(ctx); err != nil {
		return nil, err
	}
	strikes := Strikes()
	struck := make([]Struck, len(strikes))
	for _, i := range s.chance.Perm(len(strikes)) {
		began := time.Now()
		hits, err := s.strike(ctx, strikes[i])
		if err != nil {
			return nil, fmt.Errorf("%s (%s): %w", strikes[i].Name, strikes[i].Delivery, err)
		}
		struck[i] = Struck{strikes[i], hits}
		tellf("%s (%s) hit %v, and was overcome after %s", strikes[i].Name, strikes[i].Delivery, hits, time.Since(began).Round(time.Millisecond))
	}
	if err := s.leave(ctx); err != nil {
		return nil, fmt.Errorf("when the replicas leave: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	end, err := s.revision(ctx)
	if err != nil {
		return nil, err
	}
	return struck, s.chronicle.recorder.WaitFor(ctx, end)
}

func (s *striker) awaitBegin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beginLimit)
	defer cancel()
	return s.awaitProgress(ctx)
}

// leave has all replicas leave in order, when nothing is under way that could be interrupted: so nothing has to be unfinished.
func (s *striker) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beginLimit)
	defer cancel()
	s.hook.hurry()
	if err := s.awaitProgress(ctx); err != nil {
		return err
	}
	for _, r := range s.fleet.Replicas() {
		if err := betweenTicks(ctx); err != nil {
			return err
		}
		if err := terminate(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

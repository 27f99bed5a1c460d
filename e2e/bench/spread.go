// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	spreadShards, spreadShardsQuick = 50, 4
	// spreadReplicas are what most run; ours is measured with more, too.
	spreadReplicas, spreadReplicasMany, spreadReplicasQuick = 3, 10, 2

	startApart   = 200 * time.Millisecond
	spreadTarget = 5 // seconds
	// spreadSteady is how long shares have to stay even to count.
	spreadSteady      = 3 * time.Second
	spreadSteadyQuick = 500 * time.Millisecond
)

// steady is how long shares have to stay even to count.
func (b *bench) steady() time.Duration {
	if b.quick {
		return spreadSteadyQuick
	}
	return spreadSteady
}

// measureSpread lets replicas share that a Deployment seems to have made: they start one after the other, the one with the most
// shards is killed and started again at once under the same Pod, as a kubelet restarts a container the first time, and then all
// are replaced in a rolling update. Ours is measured alone, since it has to be even within some time. The others never are: what
// takes time with them is that Leases run out. They are measured side by side.
func measureSpread(ctx context.Context, b *bench) error {
	few, many := spreadReplicas, spreadReplicasMany
	if b.quick {
		few, many = spreadReplicasQuick, spreadReplicasQuick+1
	}
	var errs []error
	for _, ours := range []struct {
		who      contender
		replicas int
	}{{session, few}, {session, many}, {leaseMode, few}} {
		s, err := b.newSpread(ctx, ours.who, ours.replicas)
		if err != nil {
			return err
		}
		errs = append(errs, s.measure(ctx, ours.replicas == few))
		s.report()
	}
	var others []*spread
	for _, who := range []contender{clientGo, knative, controllerRuntime} {
		s, err := b.newSpread(ctx, who, few)
		if err != nil {
			return err
		}
		others = append(others, s)
	}
	failed := make([]error, len(others))
	var measuring sync.WaitGroup
	for i, s := range others {
		measuring.Go(func() { failed[i] = s.measure(ctx, true) })
	}
	measuring.Wait()
	for _, s := range others {
		s.report()
	}
	return errors.Join(append(errs, failed...)...)
}

// spread is a group that is measured, and what that has come to.
type spread struct {
	*group
	b        *bench
	who      contender
	replicas int
	kube     kubernetes.Interface
	before   *appsv1.ReplicaSet // of the Pods that there are first
	running  []*fleet.Replica   // oldest first
	figures  []figure

	restarted *fleet.Replica // the one that was
}

func (b *bench) newSpread(ctx context.Context, who contender, replicas int) (*spread, error) {
	shards := spreadShards
	if b.quick {
		shards = spreadShardsQuick
	}
	g, err := b.install(ctx, fmt.Sprintf("spread-%s-%d", who.label(), replicas), shards)
	if err != nil {
		return nil, err
	}
	s := &spread{group: g, b: b, who: who, replicas: replicas}
	if s.kube, err = kubernetes.NewForConfig(b.cp.Config()); err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	s.before, err = s.replicaSet(ctx, 1)
	return s, err
}

// measure leaves nothing running.
func (s *spread) measure(ctx context.Context, update bool) (err error) {
	defer func() { err = errors.Join(err, s.fleet.Close()) }()
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	if update {
		if err := s.update(ctx); err != nil {
			return err
		}
	}
	return s.fleet.UnexpectedEnd()
}

// start starts the replicas one after the other.
func (s *spread) start(ctx context.Context) error {
	for i := range s.replicas {
		if i > 0 {
			if err := pause(ctx, startApart); err != nil {
				return err
			}
		}
		if _, err := s.launchOf(ctx, s.before, i); err != nil {
			return err
		}
	}
	return s.settle(ctx, "start", map[string]time.Time{"start": time.Now()})
}

// restart kills a replica and starts it again.
func (s *spread) restart(ctx context.Context) error {
	victim, err := s.victim()
	if err != nil {
		return err
	}
	ended, err := s.kill(victim)
	if err != nil {
		return err
	}
	if err := victim.Restart(); err != nil {
		return err
	}
	s.restarted = victim
	return s.settle(ctx, "restart", map[string]time.Time{"restart": time.Now(), "kill": ended})
}

// victim is the replica with the most shards: what is left of the others is theirs already. In a hurry it is one with the
// fewest, so that no Lease has to run out.
func (s *spread) victim() (*fleet.Replica, error) {
	now, err := s.sharesNow()
	if err != nil {
		return nil, err
	}
	by := func(a, b *fleet.Replica) int { return now[b.Name()] - now[a.Name()] }
	sorted := slices.SortedStableFunc(slices.Values(s.running), by)
	if s.b.quick {
		return sorted[len(sorted)-1], nil
	}
	return sorted[0], nil
}

// settle waits until everything is decided and notes what that has come to; for ours also how long it took until all shares were
// even, from when by the name of what happened then.
func (s *spread) settle(ctx context.Context, after string, since map[string]time.Time) error {
	if !s.who.ours() {
		if err := s.awaitDecided(ctx, s.who, 0, s.names()...); err != nil {
			return err
		}
		return s.noteShares(after)
	}
	even, err := s.awaitEven(ctx, s.b.steady(), s.names()...)
	if err != nil {
		return err
	}
	for _, what := range slices.Sorted(maps.Keys(since)) {
		took := s.figure("even_after_"+what, "s", even.Sub(since[what]).Seconds())
		if what == after {
			took = took.atMost(spreadTarget)
		}
		s.figures = append(s.figures, took)
	}
	return s.noteShares(after)
}

// noteShares keeps the figures of how the shards are shared now.
func (s *spread) noteShares(after string) error {
	now, err := s.sharesNow()
	if err != nil {
		return err
	}
	counts := slices.Collect(maps.Values(now))
	most, mean := float64(slices.Max(counts)), float64(s.shards)/float64(s.replicas)
	s.figures = append(s.figures,
		s.figure("most_after_"+after, "", most),
		s.figure("least_after_"+after, "", float64(slices.Min(counts))),
		s.figure("max_to_mean_after_"+after, "times", most/mean))
	return nil
}

func (s *spread) sharesNow() (shares, error) {
	h, err := s.history()
	if err != nil {
		return nil, err
	}
	_, now := h.evenSince(s.shards, s.names())
	return now, nil
}

func (s *spread) figure(name, unit string, value float64) figure {
	return figure{Name: fmt.Sprintf("%d_replicas_%s", s.replicas, name), Who: s.who, Unit: unit, Value: value}
}

// report adds what was measured, once nothing else is measured at the same time.
func (s *spread) report() {
	for _, f := range s.figures {
		s.b.add(f)
	}
}

// names are those of the replicas that run.
func (s *spread) names() []string {
	var names []string
	for _, r := range s.running {
		names = append(names, r.Name())
	}
	return names
}

// launchOf starts the replica of a Pod that the ReplicaSet seems to have made.
func (s *spread) launchOf(ctx context.Context, set *appsv1.ReplicaSet, i int) (*fleet.Replica, error) {
	name := strings.Join([]string{s.name, set.Name, fmt.Sprint(i)}, "-")
	r, err := s.launchPod(ctx, podOf(set, name), s.who.args()...)
	if err != nil {
		return nil, err
	}
	s.running = append(s.running, r)
	return r, nil
}

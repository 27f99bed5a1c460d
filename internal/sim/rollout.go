// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Rollout is a rolling update as a Deployment with maxSurge 1 and maxUnavailable 0
// makes it, on a network where nothing goes wrong: a Pod of the new revision is
// started, one of the old is ended when that is available, and so on. Holders
// report what their shards keep busy, as the library does. It is a function of its
// fields. The zero values of all but Loads and Replicas are usable.
type Rollout struct {
	Seed uint64
	// Loads are how many thousandths of a worker each shard keeps busy, whoever
	// holds it. Required.
	Loads []int64
	// Replicas is how many there are before and after. Required.
	Replicas int
	// TargetUnknown: the replicas are not told how many there are to be.
	TargetUnknown bool
	// MinReady is how long a new Pod is ready before an old one is ended, as a
	// Deployment's minReadySeconds. Zero: until nothing has moved for a while.
	MinReady time.Duration
	// IgnoreCost ends old Pods at random. Otherwise those go first that have said
	// that they are emptied, which a Deployment learns from the
	// controller.kubernetes.io/pod-deletion-cost.
	IgnoreCost bool
	// Crash makes one new Pod crash when half of the update is done and it has
	// got its share. The kubelet reports it, so that others take over, and starts
	// the container again after its first back-off.
	Crash bool
}

// RolloutResult is what a [Rollout] came to.
type RolloutResult struct {
	// Moves are how often each shard changed hands, in the order of the Loads.
	Moves []int
	// ToOld are those of all moves that went to a Pod of the old revision.
	ToOld int
	// Before and After are the load of the busiest replica, as a share of the
	// mean. Least is what no assignment of whole shards can be below.
	Before, After, Least float64
	// Took is how long the update took, by simulated time.
	Took time.Duration
}

// PerShard is the mean of the Moves.
func (r RolloutResult) PerShard() float64 {
	sum := 0
	for _, n := range r.Moves {
		sum += n
	}
	return float64(sum) / float64(len(r.Moves))
}

// Worst is the most of the Moves.
func (r RolloutResult) Worst() int { return slices.Max(r.Moves) }

const (
	oldRevision, newRevision = 1, 2

	// loadReported is how often a holder reports what its shards keep busy, as
	// pkg/shard does.
	loadReported = 10 * time.Second
	// unmoved is how long nothing has moved in a quiet group: the next report, the
	// heartbeat that carries it, and the cool-down of what moved before.
	unmoved = 15 * time.Second
	// quietWithin, readyWithin and leftWithin bound the waits of a Rollout.
	quietWithin = 5 * time.Minute
	readyWithin = time.Minute
	leftWithin  = time.Minute
	// deathReported is how long a kubelet takes to notice and to tell, and
	// restarted how long it waits before it starts a container for the second time.
	deathReported, restarted = time.Second, 10 * time.Second
)

// Run simulates it. The error says what did not happen, or what was violated.
func (o Rollout) Run() (RolloutResult, error) {
	if len(o.Loads) == 0 || o.Replicas < 1 {
		return RolloutResult{}, fmt.Errorf("rollout of %d shards on %d replicas: use 1 or more of both", len(o.Loads), o.Replicas)
	}
	u := newUpdate(o)
	if err := u.run(); err != nil {
		return RolloutResult{}, fmt.Errorf("rollout of %d shards on %d replicas, at %s: %w", len(o.Loads), o.Replicas, u.w.now, err)
	}
	return u.result, nil
}

// update is a Rollout in the making.
type update struct {
	Rollout
	w      *World
	rng    *rand.Rand
	shards map[string]int // name -> index of its load

	emptied map[*Replica]bool
	holders []string // the Pod that got each shard last
	moved   time.Duration
	begun   bool // moves count
	result  RolloutResult
}

func newUpdate(o Rollout) *update {
	u := &update{
		Rollout: o, w: New(o.Seed, lease.Default), rng: rand.New(rand.NewPCG(o.Seed, 0)),
		shards: map[string]int{}, emptied: map[*Replica]bool{}, holders: make([]string, len(o.Loads)),
	}
	u.result.Moves = make([]int, len(o.Loads))
	names := make([]string, len(o.Loads))
	for i := range names {
		names[i] = fmt.Sprintf("shard-%d", i)
		u.shards[names[i]] = i
	}
	u.w.SetShards(names...)
	u.w.Recorded = u.record
	return u
}

// record takes note of who gets what, and of who has nothing left.
func (u *update) record(r *Replica, _ lease.Instant, _ []lease.Event, effects []lease.Effect) {
	for _, effect := range effects {
		switch effect := effect.(type) {
		case lease.Granted:
			u.granted(r, u.shards[effect.Term.Shard])
		case lease.Emptied:
			u.emptied[r] = effect.Yes
		default:
		}
	}
}

func (u *update) granted(r *Replica, shard int) {
	u.moved = u.w.now
	if u.begun && u.holders[shard] != r.Process.Pod {
		u.result.Moves[shard]++
		if r.Config.Revision == oldRevision {
			u.result.ToOld++
		}
	}
	u.holders[shard] = r.Process.Pod
}

func (u *update) run() error {
	u.w.InstallLayout()
	old := make([]*Replica, u.Replicas)
	for i := range old {
		old[i] = u.start(oldRevision, i)
	}
	if err := u.awaitQuiet(); err != nil {
		return err
	}
	u.begun, u.result.Before = true, u.unevenness()
	began := u.w.now
	for i := range u.Replicas {
		next := u.start(newRevision, i)
		if err := u.awaitAvailable(next); err != nil {
			return err
		}
		if u.Crash && i == u.Replicas/2 {
			if err := u.crash(next); err != nil {
				return err
			}
		}
		var err error
		if old, err = u.end(old); err != nil {
			return err
		}
	}
	if err := u.awaitQuiet(); err != nil {
		return err
	}
	u.result.Took = u.w.now - began
	u.result.After, u.result.Least = u.unevenness(), float64(max(u.mean(), slices.Max(u.Loads)))/float64(u.mean())
	return nil
}

// start starts a Pod, whose replica reports from then on. Its name ends at random, as
// all names in a Deployment do, and so do affinities differ from seed to seed.
func (u *update) start(revision int64, i int) *Replica {
	cfg := u.w.Config
	cfg.Revision = revision
	if !u.TargetUnknown {
		cfg.TargetReplicas = u.Replicas
	}
	r := u.w.StartOn(fmt.Sprintf("v%d-%d-%04x", revision, i, u.rng.IntN(1<<16)), Perfect, cfg)
	u.report(r)
	return r
}

// report tells what the held shards keep busy, again and again.
func (u *update) report(r *Replica) {
	u.w.after(loadReported, func() {
		if r.Gone {
			return
		}
		load := map[string]int64{}
		for shard := range r.Terms {
			load[shard] = u.Loads[u.shards[shard]]
		}
		r.Deliver(lease.Reported{Ready: true, Load: load})
		u.report(r)
	})
}

// awaitAvailable waits until an old Pod may be ended because of a new one.
func (u *update) awaitAvailable(next *Replica) error {
	if !u.w.Until(readyWithin, next.Valid) {
		return u.missed(next.Name+" to join", readyWithin)
	}
	if u.MinReady == 0 {
		return u.awaitQuiet()
	}
	u.w.Run(u.MinReady)
	return u.violated()
}

// end ends an old Pod, and returns those that are left.
func (u *update) end(old []*Replica) ([]*Replica, error) {
	first := u.victim(old)
	first.Deliver(lease.Leave{})
	rest := slices.DeleteFunc(old, func(r *Replica) bool { return r == first })
	if u.MinReady != 0 {
		return rest, u.violated() // a Deployment does not wait for Pods that terminate
	}
	if !u.w.Until(leftWithin, func() bool { return first.Gone }) {
		return nil, u.missed(first.Name+" to leave", leftWithin)
	}
	return rest, nil
}

// victim is the old Pod that the Deployment ends first.
func (u *update) victim(old []*Replica) *Replica {
	cheap := slices.DeleteFunc(slices.Clone(old), func(r *Replica) bool { return u.IgnoreCost || !u.emptied[r] })
	if len(cheap) == 0 {
		cheap = old
	}
	return cheap[u.rng.IntN(len(cheap))]
}

// crash ends a process, and brings its container back when others have taken
// over.
func (u *update) crash(r *Replica) error {
	r.Crash()
	u.w.Run(deathReported)
	for _, other := range u.w.Alive() {
		other.Deliver(lease.Died{Replica: r.Process})
	}
	u.w.Run(restarted - deathReported)
	again := u.w.Restart(r)
	u.report(again)
	return u.awaitAvailable(again)
}

// awaitQuiet waits until everything is held and nothing has moved for a while.
func (u *update) awaitQuiet() error {
	since := u.w.now
	quiet := func() bool { return u.w.now >= max(since, u.moved)+unmoved && u.allHeld() }
	if !u.w.Until(quietWithin, quiet) {
		return u.missed("the group to be quiet", quietWithin)
	}
	return nil
}

func (u *update) allHeld() bool {
	held := 0
	for _, r := range u.w.Alive() {
		for shard := range r.Terms {
			if r.Holds(shard) {
				held++
			}
		}
	}
	return held == len(u.Loads)
}

// missed says what was waited for in vain.
func (u *update) missed(what string, limit time.Duration) error {
	if err := u.violated(); err != nil {
		return err
	}
	return fmt.Errorf("waited %s for %s: held by %s", limit, what, u.w.Holders())
}

func (u *update) violated() error {
	if v := u.w.Checks.Violation; v != nil {
		return errors.New(v.String())
	}
	return nil
}

// unevenness is the load of the busiest replica as a share of the mean.
func (u *update) unevenness() float64 {
	var most int64
	for _, r := range u.w.Alive() {
		var sum int64
		for shard := range r.Terms {
			sum += u.Loads[u.shards[shard]]
		}
		most = max(most, sum)
	}
	return float64(most) / float64(u.mean())
}

// mean is what each replica would have if shards could be divided.
func (u *update) mean() int64 {
	var sum int64
	for _, load := range u.Loads {
		sum += load
	}
	return max(1, sum/int64(u.Replicas))
}

// EqualLoads are those of n shards that keep total thousandths of a worker busy.
func EqualLoads(n int, total int64) []int64 {
	return ZipfLoads(n, 0, total)
}

// ZipfLoads are the loads of n shards of which the one of rank k has a share of
// 1/k^exponent of total thousandths of a worker, the heaviest first.
func ZipfLoads(n int, exponent float64, total int64) []int64 {
	shares := make([]float64, n)
	var sum float64
	for i := range shares {
		shares[i] = math.Pow(float64(i+1), -exponent)
		sum += shares[i]
	}
	loads := make([]int64, n)
	for i, share := range shares {
		loads[i] = int64(math.Round(share / sum * float64(total)))
	}
	return loads
}

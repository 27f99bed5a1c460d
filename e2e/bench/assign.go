// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

const (
	assignShards, assignMembers = 10_000, 1_000
	assignMost                  = 50 // ms
	assignCalls                 = 15
	// maxPlans is how many plans are carried out, one after the other, until one moves nothing.
	maxPlans = 1000
)

// assignment is one situation in which Assign is measured.
type assignment struct {
	name     string
	snapshot lease.Snapshot
}

// measureAssign measures Assign where it has much to do, and where it has little.
func measureAssign(ctx context.Context, b *bench) error {
	cases, err := assignments()
	if err != nil {
		return err
	}
	var stable, join float64
	for _, c := range cases {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		took, allocations, bytes := timeAssign(c.snapshot)
		millis := float64(took) / float64(time.Millisecond)
		b.add(figure{Name: c.name + "_time", Unit: "ms", Value: millis}.atMost(assignMost))
		b.add(figure{Name: c.name + "_allocations", Value: allocations})
		b.add(figure{Name: c.name + "_allocated", Unit: "KB", Value: bytes / kilobyte})
		b.add(figure{Name: c.name + "_moves", Value: float64(moves(c.snapshot, shard.Assign(c.snapshot)))})
		switch c.name {
		case "stable":
			stable = millis
		case "join":
			join = millis
		}
	}
	b.add(figure{Name: "join_time_to_stable_time", Unit: "times", Value: join / stable})
	return nil
}

// assignments are one group in four situations.
func assignments() ([]assignment, error) {
	orphans := largeSnapshot()
	stable, err := settled(orphans)
	if err != nil {
		return nil, err
	}
	join, leave := stable, stable
	join.Members = append(slices.Clone(stable.Members), candidate(assignMembers, stable.Members[0].Serves)) // the last by name
	gone := stable.Members[assignMembers/2].Identity
	leave.Members = slices.DeleteFunc(slices.Clone(stable.Members), func(m lease.Candidate) bool { return m.Identity == gone })
	leave.Shards = slices.Clone(stable.Shards)
	for i := range leave.Shards {
		if leave.Shards[i].Holder == gone {
			leave.Shards[i].Holder = ""
		}
	}
	return []assignment{{"orphans", orphans}, {"stable", stable}, {"join", join}, {"leave", leave}}, nil
}

// largeSnapshot is of a group whose members can all hold every shard, and nobody holds any. Loads are drawn evenly.
func largeSnapshot() lease.Snapshot {
	rng := rand.New(rand.NewPCG(1, 1))
	s := lease.Snapshot{TargetReplicas: assignMembers}
	names := make([]string, assignShards)
	for i := range names {
		names[i] = fmt.Sprintf("type-%05d.example.com", i)
		s.Shards = append(s.Shards, lease.Assignable{Name: names[i], Family: names[i], Load: rng.Int64N(1000)})
	}
	for i := range assignMembers {
		s.Members = append(s.Members, candidate(i, names))
	}
	return s
}

func candidate(i int, serves []string) lease.Candidate {
	pod := fmt.Sprintf("replica-%04d", i)
	return lease.Candidate{Identity: fmt.Sprintf("%s_uid-%04d_main.boot.1", pod, i), Pod: pod, Revision: 1, Ready: true, Serves: serves}
}

// settled is the group once the plans have been carried out.
func settled(s lease.Snapshot) (lease.Snapshot, error) {
	for range maxPlans {
		plan := shard.Assign(s)
		if moves(s, plan) == 0 {
			return s, nil
		}
		s.Shards = slices.Clone(s.Shards)
		for i := range s.Shards {
			s.Shards[i].Holder = plan[s.Shards[i].Name]
		}
	}
	return s, errors.New("the plans never come to an end")
}

func moves(s lease.Snapshot, plan lease.Plan) int {
	n := 0
	for _, a := range s.Shards {
		if plan[a.Name] != a.Holder {
			n++
		}
	}
	return n
}

// timeAssign is the median of some calls, and how much one allocates.
func timeAssign(s lease.Snapshot) (median time.Duration, allocations, bytes float64) {
	var before, after runtime.MemStats
	took := make([]time.Duration, assignCalls)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range took {
		began := time.Now()
		shard.Assign(s)
		took[i] = time.Since(began)
	}
	runtime.ReadMemStats(&after)
	slices.Sort(took)
	return took[assignCalls/2], float64(after.Mallocs-before.Mallocs) / assignCalls, float64(after.TotalAlloc-before.TotalAlloc) / assignCalls
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/e2e/faults/workload"
	"github.com/shardctl/shardctl/pkg/lease"
)

const (
	// settleLimit is how long a group may take, once a fault is over, until every shard is held and all is reconciled: many
	// times what it takes, for the sake of busy machines.
	settleLimit = time.Minute
	settlePoll  = 100 * time.Millisecond
)

var leases = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}

// unsettled is what is not as it has to be.
type unsettled struct {
	unreconciled int
	reason       error // nil if all is well
}

// awaitSettled waits until a running replica holds each shard and every object is reconciled, and returns what is missing if
// that does not come. Nothing may change the objects meanwhile.
func (g *group) awaitSettled(ctx context.Context) (unsettled, error) {
	var last unsettled
	err := wait.PollUntilContextTimeout(ctx, settlePoll, settleLimit, true, func(ctx context.Context) (bool, error) {
		now, err := g.look(ctx)
		if err != nil {
			now.reason = err // the API server may be about to be restarted
		}
		if ctx.Err() == nil {
			last = now
		}
		return now.reason == nil, nil
	})
	if ctx.Err() != nil {
		return last, context.Cause(ctx)
	}
	if err != nil && last.reason == nil {
		last.reason = err
	}
	return last, nil
}

// look asks for what was last written, not for what some cache has.
func (g *group) look(ctx context.Context) (unsettled, error) {
	holders, err := g.holders(ctx)
	if err != nil {
		return unsettled{}, err
	}
	children, err := g.list(ctx, workload.ConfigMaps)
	if err != nil {
		return unsettled{}, err
	}
	byName := map[string]*unstructured.Unstructured{}
	for i := range children {
		byName[children[i].GetName()] = &children[i]
	}
	var found unsettled
	var problems []error
	if want := workload.Shards(g.types); len(holders) != want {
		problems = append(problems, fmt.Errorf("%d of %d shards are held: %v", len(holders), want, slices.Sorted(maps.Keys(holders))))
	}
	for _, t := range g.types {
		objects, err := g.list(ctx, t.GroupVersionResource)
		if err != nil {
			return unsettled{}, err
		}
		for i := range objects {
			name := objects[i].GetName()
			if err := workload.Unreconciled(&objects[i], byName[t.ChildName(name)]); err != nil {
				found.unreconciled++
				problems = append(problems, fmt.Errorf("%s %s: %w", t.Kind, name, err))
			}
		}
	}
	found.reason = errors.Join(problems...)
	return found, nil
}

func (g *group) list(ctx context.Context, r schema.GroupVersionResource) ([]unstructured.Unstructured, error) {
	list, err := g.client.Resource(r).Namespace(g.name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", r.Resource, err)
	}
	return list.Items, nil
}

// holders are the replicas that hold shards, by shard, of those whose process is running.
func (g *group) holders(ctx context.Context) (map[string]*replica, error) {
	list, err := g.client.Resource(leases).Namespace(g.name).
		List(ctx, metav1.ListOptions{LabelSelector: lease.LabelGroup + "=" + g.name + "," + lease.LabelKind + "=" + lease.KindShard})
	if err != nil {
		return nil, fmt.Errorf("list the shard Leases: %w", err)
	}
	held := map[string]*replica{}
	for _, l := range list.Items {
		holder, _, _ := unstructured.NestedString(l.Object, "spec", "holderIdentity")
		identity, err := lease.ParseIdentity(holder)
		if err != nil {
			continue // nobody's
		}
		i := slices.IndexFunc(g.replicas, func(r *replica) bool { return r.UID() == identity.UID && r.Running() })
		if i >= 0 {
			held[strings.TrimPrefix(l.GetName(), g.name+".")] = g.replicas[i]
		}
	}
	return held, nil
}

// pick returns the holder of some shard, and the type of that; which one is up to choose, which is given how many there are.
func (g *group) pick(ctx context.Context, choose func(n int) int) (*replica, workload.Type, error) {
	holders, err := g.holders(ctx)
	if err != nil {
		return nil, workload.Type{}, err
	}
	if len(holders) == 0 {
		return nil, workload.Type{}, errors.New("no replica holds a shard")
	}
	shards := slices.Sorted(maps.Keys(holders))
	shard := shards[choose(len(shards))]
	family, _ := lease.ParseShardName(shard)
	i := slices.IndexFunc(g.types, func(t workload.Type) bool { return t.Family() == family })
	if i < 0 {
		return nil, workload.Type{}, fmt.Errorf("shard %s is of no type that there is", shard)
	}
	return holders[shard], g.types[i], nil
}

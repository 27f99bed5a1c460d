// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/decorator"
	"github.com/shardctl/shardctl/internal/hook"
	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/shard"
)

// workshop makes the controllers of roles.
type workshop struct {
	group  *shard.Group
	client dynamic.Interface // its writes are fenced
	status *statusSubresources
}

func newWorkshop(rc *rest.Config, group *shard.Group) (*workshop, error) {
	client, err := dynamic.NewForConfig(group.FencedConfig())
	if err != nil {
		return nil, fmt.Errorf("client for writes: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("client for discovery: %w", err)
	}
	return &workshop{group: group, client: client, status: newStatusSubresources(disco)}, nil
}

// controllers makes those of all roles, one for each type that a role decorates. Each
// gives back what it has borrowed when the group is done with it; abandon does that
// for those that the group has not taken.
func (w *workshop) controllers(roles []config.Role, workers int) (all []shard.Controller, abandon func(), err error) {
	var teams []*team
	abandon = func() {
		for _, t := range teams {
			t.disband()
		}
	}
	for _, role := range roles {
		t := &team{group: w.group}
		teams = append(teams, t)
		c, err := w.decorator(t, role.Decorator)
		if err != nil {
			abandon()
			return nil, nil, fmt.Errorf("role %s: %w", role.Name, err)
		}
		t.working.Store(int32(len(role.Decorator.Spec.Resources)))
		for _, rule := range role.Decorator.Spec.Resources {
			one := controllerFor(c, role, rule.GVR(), workers)
			one.Done = t.done
			all = append(all, one)
		}
	}
	return all, abandon, nil
}

// decorator makes the decorator of a document, with its hooks and caches.
func (w *workshop) decorator(t *team, doc *decorator.Document) (*decorator.Controller, error) {
	o := decorator.Options{
		Document: doc, Client: w.client, HasStatus: w.status.has,
		Parents:     map[schema.GroupVersionResource]decorator.Cache{},
		Attachments: map[schema.GroupVersionResource]decorator.Cache{},
	}
	var err error
	if o.Sync, err = t.hook(doc.Spec.Hooks.Sync); err != nil {
		return nil, fmt.Errorf("sync hook: %w", err)
	}
	if doc.Spec.Hooks.Finalize != nil {
		if o.Finalize, err = t.hook(doc.Spec.Hooks.Finalize); err != nil {
			return nil, fmt.Errorf("finalize hook: %w", err)
		}
	}
	for _, rule := range doc.Spec.Resources {
		o.Parents[rule.GVR()] = t.borrow(rule.GVR())
	}
	for _, rule := range doc.Spec.Attachments {
		o.Attachments[rule.GVR()] = t.borrow(rule.GVR())
	}
	return decorator.New(o)
}

// team is what the controllers of a role share.
type team struct {
	group    *shard.Group
	hooks    []hook.Hook
	borrowed []*informers.Informer
	working  atomic.Int32 // controllers that the group has not done with
}

func (t *team) hook(c *hook.Config) (hook.Caller, error) {
	h, err := hook.New(c)
	if err != nil {
		return nil, err
	}
	t.hooks = append(t.hooks, h)
	return h, nil
}

func (t *team) borrow(gvr schema.GroupVersionResource) *informers.Informer {
	i := t.group.Informer(gvr)
	t.borrowed = append(t.borrowed, i)
	return i
}

// done: the group has done with one of the controllers.
func (t *team) done() {
	if t.working.Add(-1) == 0 {
		t.disband()
	}
}

// disband gives back what the controllers have shared.
func (t *team) disband() {
	for _, i := range t.borrowed {
		i.Release()
	}
	for _, h := range t.hooks {
		h.Close()
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/decorator"
	"github.com/shardctl/shardctl/internal/probe"
	"github.com/shardctl/shardctl/pkg/shard"
)

// workshop makes of roles what the group is to do.
type workshop struct {
	group  *shard.Group
	self   string            // the name of this replica's Pod
	client dynamic.Interface // its writes are fenced
	status *statusSubresources
	pod    *probe.OwnPod // nil outside of any Pod
	local  *localEndpoint
}

// newWorkshop makes the workshop of the replica in the Pod self of a namespace.
func newWorkshop(rc *rest.Config, group *shard.Group, local *localEndpoint, self, namespace string) (*workshop, error) {
	client, err := dynamic.NewForConfig(group.FencedConfig())
	if err != nil {
		return nil, fmt.Errorf("client for writes: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("client for discovery: %w", err)
	}
	w := &workshop{group: group, local: local, self: self, client: client, status: newStatusSubresources(disco)}
	if uid := os.Getenv("POD_UID"); uid != "" { // as shard.GroupOptions tell
		pods, err := corev1client.NewForConfig(rc)
		if err != nil {
			return nil, fmt.Errorf("client for this replica's Pod: %w", err)
		}
		w.pod = probe.NewOwnPod(pods.Pods(namespace), self, types.UID(uid))
	}
	return w, nil
}

// duties make a change that adds what the roles say, a controller for each type that one
// decorates. All of that gives back what it has borrowed when the group is done with it;
// abandon does that if the group has not taken the change.
func (w *workshop) duties(roles []config.Role, workers int) (change shard.Change, abandon func(), err error) {
	var teams []*team
	abandon = func() {
		for _, t := range teams {
			t.disband()
		}
	}
	for _, role := range roles {
		t := &team{group: w.group}
		teams = append(teams, t)
		if err := w.duty(t, role, workers, &change); err != nil {
			abandon()
			return shard.Change{}, nil, fmt.Errorf("role %s: %w", role.Name, err)
		}
	}
	return change, abandon, nil
}

// duty adds to a change what a role says.
func (w *workshop) duty(t *team, role config.Role, workers int, change *shard.Change) error {
	if role.Decorator != nil {
		return w.decorate(t, role, workers, change)
	}
	t.working.Store(1)
	gate, err := w.gate(role.Readiness)
	if err != nil {
		return fmt.Errorf("readiness: %w", err)
	}
	if role.Schedule != nil {
		one, err := w.schedule(t, role)
		one.Gate, one.Done = gate, t.done
		change.AddSchedules = append(change.AddSchedules, one)
		return err
	}
	run, err := w.work(role)
	change.AddRoles = append(change.AddRoles, shard.Role{Name: role.Name, Run: run, Gate: gate, Done: t.done})
	return err
}

// decorate adds the controllers of a role, one for each type that it decorates.
func (w *workshop) decorate(t *team, role config.Role, workers int, change *shard.Change) error {
	c, err := w.decorator(t, role.Decorator)
	if err != nil {
		return err
	}
	t.working.Store(int32(len(role.Resources())))
	for _, rule := range role.Resources() {
		one := controllerFor(c, role, rule.GVR(), workers)
		one.Done = t.done
		change.AddControllers = append(change.AddControllers, one)
	}
	return nil
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

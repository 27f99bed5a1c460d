// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/decorator"
	"github.com/shardctl/shardctl/internal/hook"
	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/shard"
)

// controllerFor is a decorator's work on one of its types. A type is one
// shard, or as many as it has buckets, whichever roles decorate it.
func controllerFor(c *decorator.Controller, role config.Role, gvr schema.GroupVersionResource, workers int) shard.Controller {
	controller := shard.Controller{
		Name:      role.Name,
		Resource:  gvr,
		Buckets:   role.Buckets,
		Partition: role.Partition,
		Workers:   workers,
		Reconcile: func(ctx context.Context, key shard.Key) (shard.Result, error) {
			after, err := c.Sync(tellHooks(ctx), gvr, key.Namespace, key.Name)
			return shard.Result{RequeueAfter: after}, err
		},
		Filter:   func(o *informers.Object) bool { return c.Matches(gvr, o) },
		Concerns: func(from, to *informers.Object) bool { return c.Concerns(gvr, from, to) },
	}
	for _, rule := range role.Attachments() {
		controller.Watches = append(controller.Watches, shard.Watch{Resource: rule.GVR(), Keys: parentsOf(c, gvr)})
	}
	return controller
}

// tellHooks hands the term of a reconcile on to the hooks that it calls.
func tellHooks(ctx context.Context) context.Context {
	term, ok := shard.TermFrom(ctx)
	if !ok {
		return ctx
	}
	return hook.WithTerm(ctx, hook.Term{Shard: term.Shard(), Epoch: term.Epoch(), Token: term.Token()})
}

// parentsOf names the object of a type that an attachment belongs to.
func parentsOf(c *decorator.Controller, gvr schema.GroupVersionResource) func(*informers.Object) []shard.Key {
	return func(attachment *informers.Object) []shard.Key {
		parent, namespace, name, ok := c.ParentOf(attachment)
		if !ok || parent != gvr {
			return nil
		}
		return []shard.Key{{Namespace: namespace, Name: name}}
	}
}

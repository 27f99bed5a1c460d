// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/internal/hook"
	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/shard"
)

// team is what all that a role makes the group do has in common.
type team struct {
	group    *shard.Group
	hooks    []hook.Hook
	borrowed []*informers.Informer
	working  atomic.Int32 // what the group has not done with
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

// done: the group has done with some of it.
func (t *team) done() {
	if t.working.Add(-1) == 0 {
		t.disband()
	}
}

// disband gives back what was borrowed.
func (t *team) disband() {
	for _, i := range t.borrowed {
		i.Release()
	}
	for _, h := range t.hooks {
		h.Close()
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"context"

	"github.com/shardctl/shardctl/pkg/shard"
)

// Of returns what tells of a group.
func Of(g *shard.Group) Backend { return group{g} }

// group is a [shard.Group] behind interfaces.
type group struct{ *shard.Group }

func (g group) Chronicle() Chronicle { return g.Group.Chronicle() }

func (g group) Holding(role string) (Term, bool) { return g.Group.Holding(role) }

func (group) TermFrom(ctx context.Context) (Term, bool) { return shard.TermFrom(ctx) }

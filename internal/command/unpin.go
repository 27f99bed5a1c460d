// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

func newUnpin() *cobra.Command {
	var of target
	cmd := &cobra.Command{
		Use:   "unpin SHARD",
		Short: "Remove the pin of a shard",
		Long: `Removes what "shardctl move" has set: the shard stays where it is until balance
calls for another place. One that is not pinned stays as it is, which is no error.

` + aboutNames + `

It needs the permission to get, list and update Leases in the namespace.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, now, err := of.open(cmd.Context())
			if err != nil {
				return err
			}
			return g.unpin(cmd.Context(), cmd.OutOrStdout(), now, args[0])
		},
		ValidArgsFunction: complete(&of, pinnedShards),
	}
	of.addFlags(cmd)
	return cmd
}

func (g *group) unpin(ctx context.Context, out io.Writer, now snapshot, asked string) error {
	shard, err := now.findShard(asked)
	if err != nil {
		return err
	}
	var pin string
	changed, err := g.annotate(ctx, lease.ShardLeaseName(g.name, shard), lease.AnnotationPinned, "", func(l *coordinationv1.Lease) error {
		pin = lease.DecodeShard(l).Pinned
		return nil
	})
	switch {
	case err != nil:
		return err
	case changed:
		fmt.Fprintf(out, "shard %s is not pinned to %s any more\n", shard, pin)
	default:
		fmt.Fprintf(out, "shard %s is not pinned\n", shard)
	}
	return nil
}

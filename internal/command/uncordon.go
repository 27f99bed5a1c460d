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

func newUncordon() *cobra.Command {
	var of target
	cmd := &cobra.Command{
		Use:   "uncordon MEMBER",
		Short: "Let a member hold shards again",
		Long: `Ends what "shardctl drain" has begun: the member gets its share of the shards again.
One that is not cordoned stays as it is, which is no error.

` + aboutNames + `

It needs the permission to get, list and update Leases in the namespace.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, now, err := of.open(cmd.Context())
			if err != nil {
				return err
			}
			return g.uncordon(cmd.Context(), cmd.OutOrStdout(), now, args[0])
		},
		ValidArgsFunction: complete(&of, cordonedMembers),
	}
	of.addFlags(cmd)
	return cmd
}

func (g *group) uncordon(ctx context.Context, out io.Writer, now snapshot, asked string) error {
	m, err := now.findMember(asked)
	if err != nil {
		return err
	}
	changed, err := g.annotate(ctx, m.Lease, lease.AnnotationCordoned, "", func(*coordinationv1.Lease) error { return nil })
	switch {
	case err != nil:
		return err
	case changed:
		fmt.Fprintf(out, "member %s is not cordoned any more\n", m.Pod)
	default:
		fmt.Fprintf(out, "member %s is not cordoned\n", m.Pod)
	}
	return nil
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

func newDrain() *cobra.Command {
	var (
		of   target
		wait patience
	)
	cmd := &cobra.Command{
		Use:   "drain MEMBER",
		Short: "Have a member give away all its shards, and wait until it holds none",
		Long: `Cordons a member, by an annotation of its Lease, and waits until it holds nothing.
It hands its shards to members that are ready, not cordoned and able to hold them,
and keeps what there is nobody else for. The cordon stays, through a crash of the
container, too, until "shardctl uncordon MEMBER" or until the member has ended in
order. A member that ends or leaves meanwhile holds nothing either.

` + aboutNames + `

It needs the permission to get, list, watch and update Leases in the namespace.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wait.validate(); err != nil {
				return err
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			g, now, err := of.open(ctx)
			if err != nil {
				return err
			}
			return g.drain(ctx, cmd.OutOrStdout(), now, args[0], wait)
		},
		ValidArgsFunction: complete(&of, memberNames),
	}
	of.addFlags(cmd)
	wait.addFlags(cmd, 5*time.Minute)
	return cmd
}

func (g *group) drain(ctx context.Context, out io.Writer, now snapshot, asked string, wait patience) error {
	m, err := now.findMember(asked)
	if err != nil {
		return err
	}
	changed, err := g.annotate(ctx, m.Lease, lease.AnnotationCordoned, "true", func(*coordinationv1.Lease) error { return nil })
	switch {
	case err != nil:
		return err
	case changed:
		fmt.Fprintf(out, "member %s is cordoned\n", m.Pod)
	default:
		fmt.Fprintf(out, "member %s was cordoned already\n", m.Pod)
	}
	if wait.none {
		return nil
	}
	if err := g.await(ctx, out, wait, drained(m)); err != nil {
		return fmt.Errorf("member %s is not drained yet: %w; it stays cordoned: `shardctl uncordon %s` ends that", m.Pod, err, m.Pod)
	}
	return nil
}

// drained tells how far it is until a member holds nothing.
func drained(of status.Member) progress {
	most := 0
	return func(s snapshot) (missing, done string, err error) {
		m, ok := s.member(of.Lease)
		left := s.namedBy(of)
		most = max(most, len(left))
		switch {
		case !ok && len(left) == 0:
			return "", fmt.Sprintf("member %s has left: it holds nothing", of.Pod), nil
		case ok && m.State == status.Ended: // and stays so: it is cordoned, should it come back
			return "", fmt.Sprintf("member %s has ended: it holds nothing", of.Pod), nil
		case m.State == status.Live:
			return "", "", errors.New("it is not cordoned any more: somebody has uncordoned it, or deleted its Lease, meanwhile")
		case len(left) == 0:
			return "", fmt.Sprintf("member %s holds nothing", of.Pod), nil
		}
		missing = fmt.Sprintf("%d of %d shards left: ", len(left), most)
		switch {
		case !ok: // that proves nothing: it may be about to make it anew
			return missing + listed(left) + "; the member's Lease is gone: others are to take them over", "", nil
		case m.State == status.Lapsed:
			return missing + listed(left) + "; the member has lapsed: others are to take them over", "", nil
		}
		return missing + s.whereTo(of, left), "", nil
	}
}

// whereTo names the shards that a member holds, each once: those that others can be
// given, and those that stay.
func (s snapshot) whereTo(m status.Member, left []string) string {
	const nobody = "no other member that is live, ready and not cordoned serves"
	stay := s.onlyFor(m, left)
	switch len(stay) {
	case 0:
		return listed(left)
	case len(left):
		return fmt.Sprintf("%s; all of them stay, since %s them", listed(left), nobody)
	}
	leave := slices.DeleteFunc(slices.Clone(left), func(shard string) bool { return slices.Contains(stay, shard) })
	return fmt.Sprintf("%s; and these, which stay, since %s them: %s", listed(leave), nobody, listed(stay))
}

// namedBy are the shards whose Leases name a session of the member's replica,
// sorted.
func (s snapshot) namedBy(m status.Member) []string {
	replica, err := lease.ParseIdentity(m.Identity)
	var names []string
	for _, sh := range s.Shards {
		holder, err2 := lease.ParseIdentity(sh.Holder)
		if sh.Holder == m.Identity || err == nil && err2 == nil && holder.SameReplica(replica) {
			names = append(names, sh.Name)
		}
	}
	return names
}

// onlyFor are those of a member's shards that nobody else could be given.
func (s snapshot) onlyFor(m status.Member, shards []string) []string {
	return slices.DeleteFunc(slices.Clone(shards), func(shard string) bool {
		family, _ := lease.ParseShardName(shard)
		return slices.ContainsFunc(s.Members, func(other status.Member) bool { return other.Lease != m.Lease && other.Takes(family) })
	})
}

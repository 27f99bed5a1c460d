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
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

func newMove() *cobra.Command {
	var (
		of   target
		wait patience
	)
	cmd := &cobra.Command{
		Use:   "move SHARD MEMBER",
		Short: "Pin a shard to a member, and wait until it holds it",
		Long: `Pins a shard to a member's Pod, by an annotation of the shard's Lease, and waits
until the Pod holds it. The holder drains the shard and hands it over. The pin
stays: the Pod keeps the shard, and gets it back after a restart under the same
name, until "shardctl unpin SHARD". While the Pod has no live member the pin is
ignored.

` + aboutNames + `

It needs the permission to get, list, watch and update Leases in the namespace.`,
		Args: cobra.ExactArgs(2),
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
			return g.move(ctx, cmd.OutOrStdout(), now, args[0], args[1], wait)
		},
		ValidArgsFunction: complete(&of, shardNames, memberNames),
	}
	of.addFlags(cmd)
	wait.addFlags(cmd, time.Minute)
	return cmd
}

const aboutNames = `Names may be shortened as long as they are unambiguous: to their beginning, or else
to any part. Members are named by their Pods; where a Pod has several, by identity.`

func (g *group) move(ctx context.Context, out io.Writer, now snapshot, askedShard, askedMember string, wait patience) error {
	shard, err := now.findShard(askedShard)
	if err != nil {
		return err
	}
	m, err := now.findMember(askedMember)
	if err != nil {
		return err
	}
	if err := now.refuseMove(shard, m); err != nil {
		return err
	}
	sh, _ := now.shard(shard)
	_, err = g.annotate(ctx, lease.ShardLeaseName(g.name, shard), lease.AnnotationPinned, m.Pod, func(l *coordinationv1.Lease) error {
		if lease.DecodeShard(l).Sealed > 0 {
			return errSealed(shard)
		}
		return nil
	})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("shard %s has lost its Lease: wait until a member has made it anew", shard)
	}
	if err != nil {
		return err
	}
	if sh.State.Active() && status.PodOf(sh.Holder) == m.Pod {
		fmt.Fprintf(out, "shard %s is held by %s already, and pinned to it from now on\n", shard, m.Pod)
		return nil
	}
	fmt.Fprintf(out, "shard %s is pinned to %s\n", shard, m.Pod)
	if wait.none {
		return nil
	}
	if err := g.await(ctx, out, wait, moved(shard, m.Pod)); err != nil {
		return fmt.Errorf("shard %s is not held by %s yet: %w; the pin stays: `shardctl unpin %s` removes it", shard, m.Pod, err, shard)
	}
	return nil
}

func errSealed(shard string) error {
	return fmt.Errorf("shard %s is of an earlier layout, and nobody will hold it again: move a shard that `shardctl status` shows", shard)
}

// refuseMove says why a member cannot be given a shard.
func (s snapshot) refuseMove(shard string, m status.Member) error {
	family, _ := lease.ParseShardName(shard)
	switch {
	case slices.Contains(s.sealed, shard):
		return errSealed(shard)
	case m.State == status.Ended:
		return fmt.Errorf("member %s has ended: choose one that is live", m.Pod)
	case m.State == status.Lapsed:
		return fmt.Errorf("member %s has lapsed: its last heartbeat was %s ago: choose one that is live", m.Pod, m.RenewedAgo)
	case m.State == status.Leaving:
		return fmt.Errorf("member %s is leaving: choose one that is live", m.Pod)
	case m.State == status.Cordoned:
		return fmt.Errorf("member %s is cordoned: let it hold shards again with `shardctl uncordon %s`, or choose another", m.Pod, m.Pod)
	case !m.Can(family):
		return fmt.Errorf("member %s does not serve %s: %s", m.Pod, family, s.whoTakes(family))
	}
	return nil
}

// whoTakes is for people: who could be given shards of a family.
func (s snapshot) whoTakes(family string) string {
	var pods []string
	for _, m := range s.Members {
		if m.Takes(family) {
			pods = append(pods, m.Pod)
		}
	}
	if len(pods) == 0 {
		return "no member does that is live, ready and not cordoned"
	}
	return "choose one of " + listed(pods)
}

// moved tells how far it is until a Pod holds a shard that is pinned to it.
func moved(shard, pod string) progress {
	return func(s snapshot) (missing, done string, err error) {
		sh, ok := s.shard(shard)
		switch holder := status.PodOf(sh.Holder); {
		case !ok:
			return "", "", errors.New("its Lease is gone")
		case sh.State.Active() && holder == pod:
			return "", fmt.Sprintf("shard %s is held by %s (epoch %d)", shard, pod, sh.Epoch), nil
		case sh.Preferred == "":
			return "", "", errors.New("somebody has unpinned it meanwhile")
		case sh.Preferred != pod:
			return "", "", fmt.Errorf("somebody has pinned it to %s meanwhile", sh.Preferred)
		default:
			return fmt.Sprintf("waiting for %s: %s", pod, s.obstacle(sh, holder)), "", nil
		}
	}
}

// obstacle is why a shard is not with the Pod that it is pinned to.
func (s snapshot) obstacle(sh status.Shard, holder string) string {
	if why := s.cannotTake(sh); why != "" {
		return why
	}
	switch sh.State {
	case status.Unheld:
		return "nobody holds the shard, and it is to take it"
	case status.Foreign:
		return fmt.Sprintf("%s, which is no member of the group, holds the shard", sh.Holder)
	default:
		return fmt.Sprintf("%s drains the shard", holder)
	}
}

// cannotTake is why the Pod that a shard is pinned to cannot be given it; empty if
// it can.
func (s snapshot) cannotTake(sh status.Shard) string {
	family, _ := lease.ParseShardName(sh.Name)
	why := "it has no live member"
	for _, m := range s.Members {
		switch {
		case m.Pod != sh.Preferred || !m.Current():
		case m.Takes(family):
			return ""
		case m.State != status.Live:
			why = "it is " + m.State
		case !m.Can(family):
			why = "it does not serve the shard any more"
		case m.Declines[family] != "":
			why = "it does not take the shard now: " + string(m.Declines[family])
		default:
			why = "it is not ready"
		}
	}
	return why
}

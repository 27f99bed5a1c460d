// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/shardctl/shardctl/internal/status"
)

// completionTimeout bounds how long a shell is kept waiting after a Tab.
const completionTimeout = 3 * time.Second

// complete offers names from the group for the arguments of a command, each from
// what is given for its position. Where the group cannot be read it offers none.
func complete(of *target, names ...func(snapshot) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(names) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		_, now, err := of.open(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names[len(args)](now), cobra.ShellCompDirectiveNoFileComp
	}
}

func shardNames(s snapshot) []string {
	return namesOf(s.Shards, func(sh status.Shard) (string, bool) { return sh.Name, sh.Lease != "" })
}

func pinnedShards(s snapshot) []string {
	return namesOf(s.Shards, func(sh status.Shard) (string, bool) { return sh.Name, sh.Preferred != "" })
}

func memberNames(s snapshot) []string {
	return namesOf(s.Members, func(m status.Member) (string, bool) { return m.Pod, m.Current() })
}

func cordonedMembers(s snapshot) []string {
	return namesOf(s.Members, func(m status.Member) (string, bool) { return m.Pod, m.State == status.Cordoned })
}

func namesOf[T any](all []T, name func(T) (string, bool)) []string {
	var names []string
	for _, one := range all {
		if n, ok := name(one); ok {
			names = append(names, n)
		}
	}
	return names
}

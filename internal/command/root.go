// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package command is the command line: flags, their defaults, and what the
// user reads.
//
// Each command has a file of its own. What those share that look at a group and
// operate it: cluster.go finds the API server, group.go the group in it, names.go
// what a shortened name stands for; annotate.go writes what an operator wants into
// a Lease, by compare-and-swap; follow.go has a command look at a group that changes
// (follower.go keeps a copy of its Leases up to date for that), and await.go waits
// for something that way. Those that print what is to be applied to a cluster and need
// none find out in installation.go for where that is.
//
// An operator's wish is an annotation of a Lease and nothing else: the replicas
// obey it by themselves, whether a command waits for that or not.
//
// What is decided and printed is tested here, on a fake API; that the replicas
// obey, by running the binary against a real control plane in the e2e module.
package command

import (
	"github.com/spf13/cobra"

	"github.com/shardctl/shardctl/internal/version"
)

// New returns the command shardctl.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "shardctl",
		Short: "Sharded leadership for Kubernetes controllers",
		Long: `shardctl runs controllers whose replicas share the work: every replica watches
every resource type, and the right to write is split into shards, one Lease per
type or role.`,
		Version:           version.String(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetVersionTemplate("shardctl {{.Version}}\n")
	root.AddCommand(
		newRun(), newStatus(),
		newMove(), newUnpin(), newDrain(), newUncordon(),
		newValidate(), newRBAC(), newFence(), newVersion(), newGuardian(),
	)
	return root
}

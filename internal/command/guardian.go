// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"github.com/spf13/cobra"

	"github.com/shardctl/shardctl/internal/child"
)

func newGuardian() *cobra.Command {
	return &cobra.Command{
		Use:    child.GuardianCommand + " ROLE",
		Short:  "Stand between a replica and the program of an exec role: started by shardctl run, and not by hand",
		Hidden: true,
		Args:   cobra.ExactArgs(1), // for those who look at a list of processes
		RunE:   func(*cobra.Command, []string) error { return child.Guard() },
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shardctl/shardctl/internal/config"
)

func newValidate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a configuration file",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: group %s, %d roles, two holders are impossible while clocks run less than %.2f times as fast as others\n",
				args[0], cfg.Name, len(cfg.Roles), cfg.Mode.ClockRateBound(cfg.Timings))
			return nil
		},
	}
}

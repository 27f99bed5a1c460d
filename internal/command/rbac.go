// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"github.com/spf13/cobra"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/rbac"
)

func newRBAC() *cobra.Command {
	var (
		at         installation
		noOptional bool
	)
	cmd := &cobra.Command{
		Use:   "rbac FILE",
		Short: "Print the permissions that a configuration needs",
		Long: `Prints the Role, ClusterRole and their bindings that allow the replicas what the
configuration needs, and nothing more, each rule with what it is for:

    shardctl rbac config.yaml | kubectl apply -f -

A rule that is called optional may be removed: its comment says what is lost. It
does not make the service account, and needs no cluster.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(args[0])
			if err != nil {
				return err
			}
			at, err := at.of(cfg)
			if err != nil {
				return err
			}
			grant := rbac.NewGrant(cfg, rbac.Options{Namespace: at.namespace, ServiceAccount: at.serviceAccount, NoOptional: noOptional})
			return grant.WriteYAML(cmd.OutOrStdout())
		},
	}
	at.addFlags(cmd)
	cmd.Flags().BoolVar(&noOptional, "no-optional", false, "leave out what the replicas can do without")
	return cmd
}

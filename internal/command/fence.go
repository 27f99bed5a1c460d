// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/pkg/fence"
)

func newFence() *cobra.Command {
	var at installation
	cmd := &cobra.Command{
		Use:   "fence FILE",
		Short: "Print the admission policies that refuse writes of those who do not hold the shard",
		Long: `Prints the ValidatingAdmissionPolicies and bindings by which the API server itself
refuses what a replica writes for a shard that it does not hold:

    kubectl apply -k manifests/components/fence   # once in a cluster, and first
    shardctl fence config.yaml | kubectl apply -f -

Start the replicas, or roll out a new type, before that: as long as the group has no
Lease for a type of custom resources, the API server refuses everybody's writes to
its objects.

Print them anew when the types or the attachments in the file have changed. How many
buckets there are does not matter. It needs no cluster.

Roles without a resource type (schedule, exec, leadership) write nothing that the API
server could judge, so of a file without any other nothing is printed but a comment.`,
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
			types := config.TypesOf(cfg)
			if len(types) == 0 {
				return printNoFence(cmd.OutOrStdout(), cfg.Name, at)
			}
			f, err := fence.New(fence.Options{
				Group: cfg.Name, Namespace: at.namespace, ServiceAccount: at.serviceAccount, Types: types,
			})
			if err != nil {
				return err
			}
			return printFence(cmd.OutOrStdout(), f, cfg.Name, at)
		},
	}
	at.addFlags(cmd)
	return cmd
}

// printFence puts before the policies what an operator has to know of them.
func printFence(w io.Writer, f *fence.Fence, group string, at installation) error {
	if _, err := fmt.Fprintf(w, `# The fence of group %[1]s in namespace %[2]s: the API server refuses what service account
# %[3]s writes for a shard that the Pod does not hold. Printed by shardctl fence.
#
# Install first what all groups share: kubectl apply -k manifests/components/fence
# Start the replicas before you apply this: as long as there is no Lease for a type of custom resources,
# the API server refuses everybody's writes to its objects.
%[5]s# Kubernetes 1.33 or later. Digest: %[4]s
`, group, at.namespace, at.serviceAccount, f.Digest(), howToRemove(group, at)); err != nil {
		return fmt.Errorf("printing the fence: %w", err)
	}
	return f.WriteYAML(w)
}

// printNoFence says that there is nothing to install.
func printNoFence(w io.Writer, group string, at installation) error {
	if _, err := fmt.Fprintf(w, `# There is nothing to fence: no role of group %[1]s has a resource type, so its replicas write
# nothing but their Leases. Should there be policies of an earlier configuration, remove them.
%[2]s`, group, howToRemove(group, at)); err != nil {
		return fmt.Errorf("printing the fence: %w", err)
	}
	return nil
}

// howToRemove is a comment.
func howToRemove(group string, at installation) string {
	return fmt.Sprintf(`# Remove the bindings first, the policies after them, and what is shared last:
#   kubectl delete validatingadmissionpolicybindings -l shardctl.dev/group=%[1]s,shardctl.dev/namespace=%[2]s
#   kubectl delete validatingadmissionpolicies -l shardctl.dev/group=%[1]s,shardctl.dev/namespace=%[2]s
`, group, at.namespace)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package command is the command line: flags, their defaults, and what the
// user reads. What the commands do is elsewhere.
//
// What needs a cluster is tested by running the binary against a real control
// plane in the e2e module.
package command

import (
	"flag"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

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
	root.AddCommand(newRun(), newStatus(), newValidate(), newVersion())
	return root
}

// cluster says which API server to talk to, and where in it.
type cluster struct {
	kubeconfig string
	context    string
	namespace  string
}

func (c *cluster) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig file (default: KUBECONFIG, ~/.kube/config, or the Pod's service account)")
	cmd.Flags().StringVar(&c.context, "context", "", "context of the kubeconfig (default: its current one)")
	cmd.Flags().StringVarP(&c.namespace, "namespace", "n", "", "namespace of the group (default: that of the Pod or of the context)")
}

// resolve returns the client configuration and the namespace.
func (c *cluster) resolve() (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.context}
	overrides.Context.Namespace = c.namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	rc, err := loader.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("finding the cluster: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("finding the namespace: %w", err)
	}
	rc.UserAgent = "shardctl/" + version.String()
	rc.QPS = -1 // the API server's priority and fairness decides, not a guess made here
	return rc, namespace, nil
}

// setVerbosity sets how much is logged; klog knows no other way than flags.
func setVerbosity(v int) error {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	if err := flags.Set("v", strconv.Itoa(v)); err != nil {
		return fmt.Errorf("--v: %d is not allowed: use 0 or more: %w", v, err)
	}
	return nil
}

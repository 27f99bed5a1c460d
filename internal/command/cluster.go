// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/shardctl/shardctl/internal/version"
)

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

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/shardctl/shardctl/internal/config"
)

// installation says where the replicas of a configuration run, and as whom, for the
// commands that print what is to be applied to a cluster and need none themselves.
type installation struct {
	namespace      string
	serviceAccount string
}

func (i *installation) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&i.namespace, "namespace", "n", "", "namespace of the group (default: spec.namespace of the file)")
	cmd.Flags().StringVar(&i.serviceAccount, "service-account", "", "the replicas' service account (default: the group's name)")
}

// of fills in what the configuration says.
func (i installation) of(cfg *config.Config) (installation, error) {
	switch {
	case i.namespace == "" && cfg.Namespace == "":
		return i, errors.New("--namespace: is missing: the file has no spec.namespace, so say in which namespace the replicas run")
	case i.namespace == "":
		i.namespace = cfg.Namespace
	case cfg.Namespace != "" && cfg.Namespace != i.namespace:
		return i, fmt.Errorf("--namespace: %q is not the file's spec.namespace, %q, which counts: leave the flag out", i.namespace, cfg.Namespace)
	}
	if i.serviceAccount == "" {
		i.serviceAccount = cfg.Name
	}
	if len(validation.IsDNS1123Label(i.namespace)) > 0 {
		return i, fmt.Errorf("--namespace: %q is not the name of a namespace: use lower case letters, digits and hyphens, 63 at most", i.namespace)
	}
	if len(validation.IsDNS1123Subdomain(i.serviceAccount)) > 0 {
		return i, fmt.Errorf("--service-account: %q is not the name of a service account: use its name alone, without the namespace", i.serviceAccount)
	}
	return i, nil
}

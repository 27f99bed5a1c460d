// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/internal/config"
)

// Cluster is where a fleet runs: a *controlplane.ControlPlane, or what [Foreign] returns.
type Cluster interface {
	// Config returns a new configuration of a client that may do everything.
	Config() *rest.Config
	// KubeconfigPath returns a file with the same.
	KubeconfigPath() string
	// NewReplica makes a Pod that nobody runs, and a token bound to it.
	NewReplica(ctx context.Context, options controlplane.ReplicaOptions) (*controlplane.Replica, error)
}

// Options of a fleet. Cluster, Binary and Config are required.
type Options struct {
	Cluster Cluster
	// Binary is the path of shardctl; see [Build].
	Binary string
	// Config is the text of the configuration file that all replicas run with. They share this machine, so its
	// spec.http.address has to have port 0.
	Config []byte
	// Namespace of the group, the Pods and the service account, for a configuration that does not name one; it is created.
	// Default: the name of the group.
	Namespace string
	// CRDs are installed and waited for. Leave them empty to have the types appear later; see [Fleet.InstallCRDs].
	CRDs []*unstructured.Unstructured
	// LayoutRecord says that the group is new, as an installer of a new group may: its first start then waits for nothing.
	LayoutRecord bool
	// Env is added to the replicas' environment, as KEY=value. Of this process's own they get PATH, HOME and TMPDIR only.
	Env []string
	// Dir receives the configuration and a log per replica. It is created if need be, and never removed.
	Dir string
}

// withDefaults returns the options to use and what the configuration says, or an error that names every field that cannot be
// used.
func (o Options) withDefaults() (Options, *config.Config, error) {
	var errs []error
	if o.Cluster == nil {
		errs = append(errs, errors.New("cluster: is missing"))
	}
	if o.Binary == "" {
		errs = append(errs, errors.New("binary: is missing: use the path that Build returns"))
	}
	if o.Dir == "" {
		errs = append(errs, errors.New("dir: is missing: name a directory for the configuration and the logs"))
	}
	cfg, err := config.Parse(configFile, o.Config)
	if err != nil {
		errs = append(errs, fmt.Errorf("config: %w", err))
	} else if _, port, err := net.SplitHostPort(cfg.HTTPAddress); err != nil || port != "0" {
		errs = append(errs, fmt.Errorf(`config: spec.http.address: %q would be taken by the first replica: use "127.0.0.1:0"`, cfg.HTTPAddress))
	}
	if len(errs) > 0 {
		return o, nil, fmt.Errorf("fleet options: %w", errors.Join(errs...))
	}
	o.Namespace = cmp.Or(cfg.Namespace, o.Namespace, cfg.Name)
	return o, cfg, nil
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"
	"sigs.k8s.io/kind/pkg/log"

	"github.com/shardctl/shardctl/e2e/deployed"
)

var _ deployed.Cluster = (*Cluster)(nil)

// Cluster is one of kind. Its methods may be called from several goroutines.
type Cluster struct {
	options  Options
	provider *cluster.Provider
	dir      string // of its files on this machine
	config   *rest.Config
	client   kubernetes.Interface
	nodes    []nodes.Node
	named    bool // docker has the second name of the image
}

// Start creates a cluster and loads the image; it returns when all nodes are ready, after half a minute, or longer if the node image
// has to be pulled. What it has made when it fails it deletes. The context cannot stop kind itself, but what is done after it.
func Start(ctx context.Context, logger log.Logger, options Options) (_ *Cluster, err error) {
	options, err = options.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cluster{options: options, provider: cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(logger))}
	names, err := c.provider.List()
	if err != nil {
		return nil, fmt.Errorf("list the clusters of kind: %w", err)
	}
	if slices.Contains(names, options.Name) {
		return nil, fmt.Errorf("cluster %s exists already: choose another name", options.Name)
	}
	if c.dir, err = os.MkdirTemp("", options.Name+"-"); err != nil {
		return nil, fmt.Errorf("directory of the cluster's files: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Delete(context.WithoutCancel(ctx)))
		}
	}()
	if err := c.nameImage(ctx); err != nil { // first, for an image that is not there shows here
		return nil, err
	}
	if err := c.create(); err != nil {
		return nil, err
	}
	if err := c.loadImages(ctx); err != nil {
		return nil, err
	}
	return c, c.awaitNodes(ctx)
}

func (c *Cluster) create() error {
	policy := filepath.Join(c.dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, auditPolicy, 0o644); err != nil { // root in another container reads it
		return fmt.Errorf("write audit policy: %w", err)
	}
	err := c.provider.Create(c.options.Name,
		cluster.CreateWithV1Alpha4Config(clusterConfig(policy)),
		cluster.CreateWithNodeImage(c.options.NodeImage),
		cluster.CreateWithKubeconfigPath(c.KubeconfigPath()),
		cluster.CreateWithDisplayUsage(false),
		cluster.CreateWithDisplaySalutation(false),
	)
	if err != nil {
		return fmt.Errorf("create cluster %s with kind: %w", c.options.Name, err)
	}
	if c.nodes, err = c.provider.ListInternalNodes(c.options.Name); err != nil {
		return fmt.Errorf("list the nodes of cluster %s: %w", c.options.Name, err)
	}
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.KubeconfigPath()); err != nil {
		return fmt.Errorf("kubeconfig of cluster %s: %w", c.options.Name, err)
	}
	c.config.QPS = -1 // the API server's priority and fairness decides, not a guess made here
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		return fmt.Errorf("client of cluster %s: %w", c.options.Name, err)
	}
	return nil
}

// Delete deletes the cluster and everything else that Start has made.
func (c *Cluster) Delete(ctx context.Context) error {
	var errs []error
	if err := c.provider.Delete(c.options.Name, c.KubeconfigPath()); err != nil {
		errs = append(errs, fmt.Errorf("delete cluster %s: %w", c.options.Name, err))
	}
	return errors.Join(append(errs, c.removeSecondImage(ctx), os.RemoveAll(c.dir))...)
}

// Name returns the name by which kind knows the cluster.
func (c *Cluster) Name() string { return c.options.Name }

// Config returns a new configuration of a client that may do everything.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// KubeconfigPath returns the path of the kubeconfig; Delete removes it.
func (c *Cluster) KubeconfigPath() string { return filepath.Join(c.dir, "kubeconfig") }

func (c *Cluster) controlPlane() (nodes.Node, error) {
	return nodeutils.BootstrapControlPlaneNode(c.nodes)
}

func (c *Cluster) node(name string) (nodes.Node, error) {
	i := slices.IndexFunc(c.nodes, func(n nodes.Node) bool { return n.String() == name })
	if i < 0 {
		return nil, fmt.Errorf("cluster %s has no node %q", c.options.Name, name)
	}
	return c.nodes[i], nil
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

const (
	defaultNodes = 3
	// defaultNodeGracePeriod is shorter than a real cluster's 50 s, so that nobody waits for long for a node to be given up.
	defaultNodeGracePeriod = 10 * time.Second
	apiServerPort          = "443"
)

// Image is what a container of that image sees and runs.
type Image struct {
	// Files are the image's files: the path in the image, absolute, and that of a file or directory of this machine. It is there for
	// everybody to read and nobody to write. Programs have to be static: there is no C library.
	Files map[string]string
	// Entrypoint is the program, by its path in the image, and its first arguments; a container's command replaces it.
	Entrypoint []string
	// User and Group are the numbers that processes run as, unless a Pod's securityContext has others. Default: 0, root.
	User, Group int64
}

// Options of a cluster. The zero value is a cluster of three nodes that have no image.
type Options struct {
	// Nodes is how many nodes there are, at most 100; default 3. They are called node-1, node-2 and so on, each in a zone of its own.
	Nodes int
	// Images makes the images that are there on every node, by their names as they stand in Pods; what is not among them cannot be
	// pulled. Their files may be put into dir, which is removed together with the cluster. Default: no image.
	Images func(ctx context.Context, dir string) (map[string]Image, error)
	// NodeGracePeriod is how long a node may be silent before it is not ready. Default: 10 s.
	NodeGracePeriod time.Duration
	// ControlPlane has what is asked of the control plane besides: logs, audit, history. Its Scheduler and NodeGracePeriod are set
	// here; so are its Controllers, unless it names some.
	ControlPlane controlplane.Options
}

// controllers are those of a cluster whose nodes run Pods, as far as Deployments and what protects them are concerned.
func controllers() []string {
	return append(controlplane.DefaultControllers(),
		"cronjob-controller",
		"daemonset-controller",
		"deployment-controller",
		"disruption-controller",
		"endpointslice-controller",
		"job-controller",
		"node-lifecycle-controller",
		"pod-garbage-collector-controller",
		"replicaset-controller",
		"statefulset-controller",
		"taint-eviction-controller",
		"ttl-after-finished-controller",
	)
}

// withDefaults returns the options to use, or an error that names every field that cannot be used.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	if o.Nodes < 0 || o.Nodes > maxNodes {
		errs = append(errs, fmt.Errorf("nodes: %d is not possible: use 1 to %d, or 0 for the default of %d", o.Nodes, maxNodes, defaultNodes))
	}
	if o.ControlPlane.NoControllerManager {
		errs = append(errs, errors.New("controlPlane.noControllerManager: is not possible: nobody would make the nodes ready"))
	}
	if o.NodeGracePeriod < 0 {
		errs = append(errs, fmt.Errorf("nodeGracePeriod: %v is negative: use 0 for the default of %v", o.NodeGracePeriod, defaultNodeGracePeriod))
	}
	if len(errs) > 0 {
		return o, fmt.Errorf("local cluster options: %w", errors.Join(errs...))
	}
	if o.Nodes == 0 {
		o.Nodes = defaultNodes
	}
	if o.NodeGracePeriod == 0 {
		o.NodeGracePeriod = defaultNodeGracePeriod
	}
	if len(o.ControlPlane.Controllers) == 0 {
		o.ControlPlane.Controllers = controllers()
	}
	o.ControlPlane.Scheduler = true
	o.ControlPlane.NodeGracePeriod = o.NodeGracePeriod
	return o, nil
}

func (o Options) makeImages(ctx context.Context, dir string) (map[string]Image, error) {
	if o.Images == nil {
		return nil, nil
	}
	images, err := o.Images(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("make images: %w", err)
	}
	for name, image := range images {
		if err := image.validate(); err != nil {
			return nil, fmt.Errorf("image %q: %w", name, err)
		}
	}
	return images, nil
}

func (i Image) validate() error {
	for target, source := range i.Files {
		if !filepath.IsAbs(target) || !filepath.IsAbs(source) {
			return fmt.Errorf("files: %q: %q: use absolute paths", target, source)
		}
		if _, err := os.Stat(source); err != nil {
			return fmt.Errorf("files: %q: %w", target, err)
		}
	}
	return nil
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"
)

// Image returns the name of shardctl's image, which all nodes have.
func (c *Cluster) Image() string { return c.options.Image }

// HookImage returns the name of the hook's image, which all nodes have.
func (c *Cluster) HookImage() string { return c.options.HookImage }

// SecondImage returns another name of the same image. No other cluster uses it.
func (c *Cluster) SecondImage() string { return c.options.Image + "-" + c.options.Name }

func (c *Cluster) nameImage(ctx context.Context) error {
	if err := docker(ctx, "tag", c.Image(), c.SecondImage()); err != nil {
		return fmt.Errorf("give image %s a second name: %w", c.Image(), err)
	}
	c.named = true
	return nil
}

// loadImages copies what docker has to all nodes.
func (c *Cluster) loadImages(ctx context.Context) error {
	archive := filepath.Join(c.dir, "images.tar")
	if err := docker(ctx, "save", "--output", archive, c.Image(), c.SecondImage(), c.HookImage()); err != nil {
		return fmt.Errorf("save images: %w", err)
	}
	var g errgroup.Group
	for _, node := range c.nodes {
		g.Go(func() error {
			file, err := os.Open(archive)
			if err != nil {
				return err
			}
			defer file.Close()
			if err := nodeutils.LoadImageArchive(node, file); err != nil {
				return fmt.Errorf("load the images into node %s: %w", node, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return os.Remove(archive)
}

func (c *Cluster) removeSecondImage(ctx context.Context) error {
	if !c.named {
		return nil
	}
	return docker(ctx, "image", "rm", c.SecondImage())
}

func docker(ctx context.Context, args ...string) error {
	if output, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("docker %s: %w: %s", args[0], err, output)
	}
	return nil
}

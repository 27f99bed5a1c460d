// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command localcluster starts a Kubernetes cluster on this machine, whose nodes run Pods as processes, with the images that
// manifests/overlays/example names, built from the source tree. It prints how to reach it and stays up until SIGINT or SIGTERM.
// Then it removes every trace of it, and exits with 0 if it could. It needs root. See package e2e/localcluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/localcluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on, a second one ends this process at once; servers and containers go with it.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "localcluster:", err)
		os.Exit(1)
	}
}

// run prints commands for a shell to stdout, and what is for people to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	options, err := parse(args, stderr)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return serve(ctx, options, stdout, stderr)
}

func parse(args []string, stderr io.Writer) (localcluster.Options, error) {
	options := localcluster.Options{Images: localcluster.BuildImages, ControlPlane: controlplane.Options{Output: stderr}}
	flags := pflag.NewFlagSet("localcluster", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&options.Nodes, "nodes", 0, "nodes that run Pods (default 3)")
	flags.DurationVar(&options.NodeGracePeriod, "node-grace-period", 0, "silence after which a node is not ready (default 10s)")
	flags.StringVar(&options.ControlPlane.LogDir, "log-dir", "", "directory for the logs, also of containers, which stays (default a temporary one)")
	if err := flags.Parse(args); err != nil {
		return options, err
	}
	if flags.NArg() > 0 {
		return options, fmt.Errorf("%q: no arguments are expected, only flags (see --help)", flags.Arg(0))
	}
	return options, nil
}

func serve(ctx context.Context, options localcluster.Options, stdout, stderr io.Writer) error {
	began := time.Now()
	cluster, kubectl, err := start(ctx, options, stderr)
	if err != nil {
		if ctx.Err() != nil && !moreThanOne(err) {
			fmt.Fprintln(stderr, "stopped before it was ready; all of it is removed")
			return nil
		}
		return err
	}
	fmt.Fprintf(stdout, "export KUBECONFIG=%s\n", quote(cluster.KubeconfigPath()))
	fmt.Fprintf(stdout, "export PATH=%s:\"$PATH\"\n", quote(filepath.Dir(kubectl)))
	fmt.Fprintf(stderr, "Kubernetes %s, ready after %v; kubectl is in the PATH above; logs are in %s\n",
		cluster.ControlPlane().Binaries().Kubernetes, time.Since(began).Round(10*time.Millisecond), cluster.ControlPlane().LogDir())
	fmt.Fprintf(stderr, "images on all nodes: %s, %s\n", localcluster.ShardctlImage, localcluster.ExampleHookImage)
	fmt.Fprintln(stderr, "Ctrl-C stops it and removes all of it")
	// Close reports why Wait ended, if that was not the signal.
	_ = cluster.Wait(ctx)
	return cluster.Close()
}

// start returns the path of kubectl, too. To an error it joins those of removing what there was by then.
func start(ctx context.Context, options localcluster.Options, stderr io.Writer) (*localcluster.Cluster, string, error) {
	cluster, err := localcluster.New(ctx, options)
	if err != nil {
		return nil, "", err
	}
	kubectl, err := controlplane.Kubectl(ctx, stderr)
	if err != nil {
		return nil, "", errors.Join(err, cluster.Close())
	}
	return cluster, kubectl, nil
}

// moreThanOne reports whether errors were joined to the first. A start that a signal ended has that one, and others if
// something could not be removed.
func moreThanOne(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error }) // what is wrapped deeper is part of one error
	if !ok {
		return false
	}
	errs := joined.Unwrap()
	return len(errs) > 1 || moreThanOne(errs[0])
}

// quote makes a path one word of a shell's command line.
func quote(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

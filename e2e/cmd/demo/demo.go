// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

// settings are what the environment says.
type settings struct {
	kubeconfig string // of a cluster to use; empty for a control plane of the demo's own
	keep       bool
}

// demo is what exists so far, and how to undo it.
type demo struct {
	settings
	*printer
	dir      string // of programs and logs
	undo     []func() error
	cp       *controlplane.ControlPlane // nil if the cluster is somebody else's
	cluster  fleet.Cluster
	programs programs
	example  *example
	fleet    *fleet.Fleet
	objects  *objects
	writers  writers
	launched int // replicas so far
	summary  []string
	finished bool // everything was shown and was as it should be
}

func newDemo(out io.Writer, s settings) *demo {
	return &demo{settings: s, printer: newPrinter(out)}
}

var errInterrupted = errors.New("interrupted; everything that it had made is removed")

// run does the whole demo and then, whatever came of it, removes everything but the logs of a failure.
func (d *demo) run(ctx context.Context) error {
	err := d.show(ctx)
	if ctx.Err() != nil {
		err = nil // whatever was interrupted
	}
	if cleanUp := d.cleanUp(); cleanUp != nil {
		err = errors.Join(err, fmt.Errorf("cleaning up: %w", cleanUp))
	}
	if err != nil {
		if os.Remove(d.dir) == nil { // it was empty
			return fmt.Errorf("failed: %w", err)
		}
		return fmt.Errorf("failed: %w\nall logs are in %s", err, d.dir)
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	if !d.finished {
		return errInterrupted
	}
	if !d.keep {
		d.linef("demo: ok")
	}
	return nil
}

// show makes what the demo needs and goes through its steps, unless the control plane breaks before.
func (d *demo) show(ctx context.Context) error {
	var err error
	if d.dir, err = os.MkdirTemp("", "shardctl-demo-"); err != nil {
		return err
	}
	if err := d.startCluster(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	ctx, done := context.WithCancel(ctx)
	defer done()
	if d.cp != nil {
		group.Go(func() error { return d.cp.Wait(ctx) })
	}
	group.Go(func() error {
		defer done()
		return d.steps(ctx)
	})
	return group.Wait()
}

func (d *demo) steps(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		d.build,
		d.startHook,
		d.install,
		d.startReplicas,
		d.killHolder,
		d.rollingRestart,
		d.finish,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// finish sums up and, if that is wanted, leaves everything running until the context is done.
func (d *demo) finish(ctx context.Context) error {
	d.concludef("Every one of %d x %d objects is reconciled as it was changed last; %d changes were made.",
		len(d.example.types), objectsOfType, d.objects.changes.Load())
	d.stepf("Summary")
	for _, line := range d.summary {
		d.linef("- %s", line)
	}
	d.finished = true
	if !d.keep {
		return nil
	}
	d.linef("")
	d.linef("Left running until Ctrl-C; the logs are in %s. In another terminal:", d.dir)
	d.linef("  export KUBECONFIG=%s", d.cluster.KubeconfigPath())
	d.linef("  %s status --namespace %s", d.programs.shardctl, d.fleet.Namespace())
	d.linef("demo: ok")
	<-ctx.Done()
	return nil
}

// concludef adds a line to the summary.
func (d *demo) concludef(format string, args ...any) {
	d.summary = append(d.summary, fmt.Sprintf(format, args...))
}

// atEnd has something done at the end, before what was to be done at the end so far.
func (d *demo) atEnd(do func() error) { d.undo = append(d.undo, do) }

func (d *demo) cleanUp() error {
	var errs []error
	for _, do := range slices.Backward(d.undo) {
		errs = append(errs, do())
	}
	return errors.Join(errs...)
}

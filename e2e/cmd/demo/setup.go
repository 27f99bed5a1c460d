// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	namespace     = "shardctl-demo"
	replicas      = 3
	objectsOfType = 200

	spreadTimeout    = 60 * time.Second
	uninstallTimeout = 90 * time.Second
)

// programs are what the demo runs.
type programs struct {
	shardctl, hook string
}

// startCluster starts a control plane with an audit log, or takes the cluster that it was told to use.
func (d *demo) startCluster(ctx context.Context) error {
	if d.kubeconfig != "" {
		cluster, err := fleet.Foreign(d.kubeconfig, d.dir)
		if err != nil {
			return fmt.Errorf("DEMO_KUBECONFIG: %w", err)
		}
		d.cluster = cluster
		d.linef("Using the cluster of %s.", d.kubeconfig)
		return nil
	}
	d.linef("Starting a real etcd, kube-apiserver and kube-controller-manager on this machine.")
	cp, err := controlplane.New(ctx, controlplane.Options{
		LogDir: filepath.Join(d.dir, "controlplane"), Audit: controlplane.AuditMetadata, Output: d.out,
	})
	if err != nil {
		return err
	}
	d.atEnd(cp.Stop)
	d.cp, d.cluster = cp, cp
	d.stepf("Kubernetes %s on etcd %s is ready.", cp.Binaries().Kubernetes, cp.Binaries().Etcd)
	return nil
}

func (d *demo) build(ctx context.Context) error {
	d.linef("Building shardctl and the example's hook server.")
	group, ctx := errgroup.WithContext(ctx)
	options := fleet.BuildOptions{Dir: d.dir}
	group.Go(func() (err error) {
		d.programs.shardctl, err = fleet.Build(ctx, options)
		return err
	})
	group.Go(func() (err error) {
		d.programs.hook, err = fleet.BuildProgram(ctx, "examples/decorator/hook", options)
		return err
	})
	group.Go(func() (err error) {
		d.example, err = loadExample(ctx)
		return err
	})
	return group.Wait()
}

// hookLine is what the example's hook server logs once it listens.
var hookLine = regexp.MustCompile(`listening on (http://\S+)`)

func (d *demo) startHook(ctx context.Context) error {
	process, err := fleet.StartProcess(d.programs.hook, []string{"-listen=127.0.0.1:0"}, []string{}, d.hookLog())
	if err != nil {
		return err
	}
	d.atEnd(process.Kill)
	url, err := process.AwaitLine(ctx, hookLine)
	if err != nil {
		return fmt.Errorf("example hook server: %w", err)
	}
	return d.example.useHook(url)
}

func (d *demo) hookLog() string { return filepath.Join(d.dir, "hook.log") }

// install makes everything in the cluster but the replicas.
func (d *demo) install(ctx context.Context) error {
	installed, err := fleet.New(ctx, fleet.Options{
		Cluster: d.cluster, Binary: d.programs.shardctl, Config: d.example.config, CRDs: d.example.crds,
		Namespace: namespace, LayoutRecord: true, Dir: filepath.Join(d.dir, "replicas"),
	})
	if installed != nil { // even if only half of it
		d.fleet = installed
		if d.cp == nil {
			d.atEnd(d.uninstall)
		}
		d.atEnd(installed.Close)
	}
	if err != nil {
		return err
	}
	if d.objects, err = newObjects(d.cluster.Config(), installed.Namespace(), d.example); err != nil {
		return err
	}
	d.writers = d.chooseWriters()
	if err := d.objects.create(ctx, objectsOfType); err != nil {
		return err
	}
	d.stepf("Installed examples/decorator: %d CRDs, %d objects of each, and the permissions that its configuration needs.",
		len(d.example.crds), objectsOfType)
	return nil
}

// uninstall has a time limit of its own: it has to work after a Ctrl-C too.
func (d *demo) uninstall() error {
	ctx, cancel := context.WithTimeout(context.Background(), uninstallTimeout)
	defer cancel()
	return d.fleet.Uninstall(ctx)
}

// startReplicas starts all at once, as a Deployment does, and shows how they share the types and what they did.
func (d *demo) startReplicas(ctx context.Context) error {
	for range replicas {
		if _, err := d.launch(ctx); err != nil {
			return err
		}
	}
	d.stepf("Started the example's hook server and %d replicas of shardctl, each with a token bound to a Pod of its own.", replicas)
	if err := d.awaitSpread(ctx); err != nil {
		return err
	}
	d.stepf("All replicas watch all types; each type is led by one replica. shardctl status:")
	if err := d.printStatus(ctx); err != nil {
		return err
	}
	if err := d.awaitReconciled(ctx); err != nil {
		return err
	}
	return d.printWriters(ctx)
}

// launch starts the next replica.
func (d *demo) launch(ctx context.Context, args ...string) (*fleet.Replica, error) {
	d.launched++
	return d.fleet.Launch(ctx, fmt.Sprintf("replica-%d", d.launched), args...)
}

func (d *demo) awaitSpread(ctx context.Context) error {
	_, err := d.fleet.WaitFor(ctx, spreadTimeout, fmt.Sprintf("all types to be spread over %d replicas", replicas),
		fleet.All(fleet.Spread(len(d.example.types), replicas), fleet.Healthy))
	return err
}

func (d *demo) printStatus(ctx context.Context) error {
	status, err := d.fleet.Command(ctx, "status")
	if err != nil {
		return err
	}
	d.block(status)
	return nil
}

// withStatus adds to an error what the replicas say, which often is the reason.
func (d *demo) withStatus(ctx context.Context, err error) error {
	status, statusErr := d.fleet.Command(ctx, "status", "-o=wide")
	if statusErr != nil {
		return errors.Join(err, statusErr)
	}
	return fmt.Errorf("%w\nthe status is\n%sthe log of the hook is %s, those of the replicas are in %s",
		err, status, d.hookLog(), d.fleet.LogDir())
}

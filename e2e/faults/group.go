// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/faults/workload"
	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/e2e/netproxy"
)

// replicasOfGroup hold two shards each, of the six that there are.
const replicasOfGroup = 3

// configuration is not read by the replicas. A fleet wants one, and grants what it needs.
const configuration = `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata:
  name: %[1]s
spec:
  http:
    address: "127.0.0.1:0"
  roles:
  - name: work
    decorator:
      resources:
      - {apiVersion: %[2]s, resource: widgets}
      - {apiVersion: %[2]s, resource: gadgets}
      attachments:
      - {apiVersion: v1, resource: configmaps}
      hooks:
        sync: {webhook: {url: "http://127.0.0.1:1"}}
`

// group is one that is installed, with its replicas and the load that keeps them busy.
type group struct {
	name     string
	kind     Kind
	cp       *controlplane.ControlPlane
	fleet    *fleet.Fleet
	types    []workload.Type
	client   dynamic.Interface // may do everything
	load     *load
	replicas []*replica
}

// replica is one of a group, behind a network of its own.
type replica struct {
	*fleet.Replica
	proxy   *netproxy.Proxy
	refused refusals
}

func newGroup(cp *controlplane.ControlPlane, k Kind, name string) *group {
	return &group{name: name, kind: k, cp: cp, types: workload.Types(name)}
}

// start installs a group that is new, and starts its replicas. What it has made when it fails is for close to end.
func (g *group) start(ctx context.Context, program, dir string) error {
	var err error
	if g.client, err = dynamic.NewForConfig(impatient(g.cp.Config())); err != nil {
		return err
	}
	var definitions []*unstructured.Unstructured
	for _, t := range g.types {
		definitions = append(definitions, t.Definition())
	}
	g.fleet, err = fleet.New(ctx, fleet.Options{
		Cluster: g.cp, Binary: program, Config: fmt.Appendf(nil, configuration, g.name, g.types[0].APIVersion()),
		CRDs: definitions, LayoutRecord: true, Dir: filepath.Join(dir, g.name),
	})
	if err != nil {
		return err
	}
	if err := g.grant(ctx); err != nil {
		return err
	}
	g.load = newLoad(g.client, g.name, g.types)
	if err := g.load.create(ctx); err != nil {
		return err
	}
	if !g.kind.Control {
		if err := g.installFence(ctx); err != nil {
			return err
		}
	}
	for i := range replicasOfGroup {
		if err := g.launch(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// launch starts a replica that reaches an API server through a proxy. Of several API servers the first has one replica and
// the last, which is the one that suffers, all others.
func (g *group) launch(ctx context.Context, i int) error {
	server, err := url.Parse(g.serverOf(i).Host)
	if err != nil {
		return err
	}
	proxy, err := netproxy.Start(server.Host)
	if err != nil {
		return err
	}
	args := []string{"--group=" + g.name, "--server=https://" + proxy.Addr()}
	if g.kind.Control {
		args = append(args, "--elector=client-go")
	}
	launched, err := g.fleet.Launch(ctx, fmt.Sprintf("%s-%d", g.name, i), args...)
	if err != nil {
		return errors.Join(err, proxy.Close())
	}
	g.replicas = append(g.replicas, &replica{Replica: launched, proxy: proxy, refused: refusals{}})
	return nil
}

func (g *group) serverOf(i int) *rest.Config {
	if i == 0 || !g.kind.twoAPIServers {
		return g.cp.Config()
	}
	return g.cp.SecondConfig()
}

// close ends the replicas. What is in the cluster goes with the control plane.
func (g *group) close() error {
	var errs []error
	if g.fleet != nil {
		errs = append(errs, g.fleet.Close())
	}
	for _, r := range g.replicas {
		errs = append(errs, r.proxy.Close())
	}
	return errors.Join(errs...)
}

// impatient is for clients that ask again when there is no answer: servers are being restarted.
func impatient(config *rest.Config) *rest.Config {
	config.Timeout = requestTimeout
	return config
}

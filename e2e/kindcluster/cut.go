// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
)

// link is how kind's nodes are connected: docker calls the first, and here only, network of a container so.
const link = "eth0"

// cutRules drop what comes from another node before anything else sees it, and what goes to one after everything has: of the
// node itself, of Pods in the network of the node and of those in their own, and of connections that there are.
var cutRules = [][]string{
	{"raw", "PREROUTING", "--in-interface", link, "--jump", "DROP"},
	{"mangle", "POSTROUTING", "--out-interface", link, "--jump", "DROP"},
}

// CutNode drops all packets from and to other nodes, and from and to this machine, in the network of the node. What runs in the
// node goes on, and reaches what else runs there.
func (c *Cluster) CutNode(ctx context.Context, name string) (heal func(context.Context) error, err error) {
	node, err := c.node(name)
	if err != nil {
		return nil, err
	}
	filters, err := filtersOf(ctx, node)
	if err != nil {
		return nil, err
	}
	cut := &cut{node: node}
	for _, filter := range filters {
		for _, rule := range cutRules {
			if err := cut.add(ctx, filter, rule); err != nil {
				return nil, errors.Join(fmt.Errorf("cut off node %s: %w", name, err), cut.heal(context.WithoutCancel(ctx)))
			}
		}
	}
	return cut.heal, nil
}

// filtersOf are the programs that filter what the node speaks: IPv6 only if its link does.
func filtersOf(ctx context.Context, node nodes.Node) ([]string, error) {
	found, err := run(ctx, node, "sh", "-c", "grep -c ' "+link+"$' /proc/net/if_inet6 2>/dev/null || true")
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || found[0] == '0' {
		return []string{"iptables"}, nil
	}
	return []string{"iptables", "ip6tables"}, nil
}

// cut is what separates a node from the others.
type cut struct {
	node nodes.Node

	mu    sync.Mutex // guards rules
	rules []func(context.Context) error
}

func (c *cut) add(ctx context.Context, filter string, rule []string) error {
	change := func(ctx context.Context, action string) error {
		_, err := run(ctx, c.node, filter, append([]string{"--wait", "--table", rule[0], action}, rule[1:]...)...)
		return err
	}
	if err := change(ctx, "--insert"); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rules = append(c.rules, func(ctx context.Context) error { return change(ctx, "--delete") })
	return nil
}

// heal removes the rules that are there still.
func (c *cut) heal(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.rules) > 0 {
		if err := c.rules[0](ctx); err != nil {
			return fmt.Errorf("heal node %s: %w", c.node, err)
		}
		c.rules = c.rules[1:]
	}
	return nil
}

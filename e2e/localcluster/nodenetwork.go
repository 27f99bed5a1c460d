// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/vishvananda/netlink"
)

// nodeNetwork is a node's part of the network.
type nodeNetwork struct {
	ns     *namespace
	links  *netlink.Handle
	bridge netlink.Link
	number int

	mu    sync.Mutex
	taken map[int]bool // the last numbers of its Pods' addresses
	next  int          // none is used again soon, so that nobody takes a Pod for its predecessor
}

// addNode adds node number i, from 1.
func (n *network) addNode(i int) (node *nodeNetwork, err error) {
	node = &nodeNetwork{number: i, taken: map[int]bool{}, next: firstPodHost}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make the network of node %d: %w", i, err), node.close())
		}
	}()
	if node.ns, node.links, err = newLinks(); err != nil {
		return node, err
	}
	if node.bridge, err = addBridge(node.links, hardwareAddress(i, 1), node.ip()); err != nil {
		return node, err
	}
	if err := connect(n.links, n.bridge, fmt.Sprintf("node-%d", i), node.ns, uplinkName); err != nil {
		return node, err
	}
	uplink, err := node.links.LinkByName(uplinkName)
	if err != nil {
		return node, err
	}
	if err := node.links.LinkSetMaster(uplink, node.bridge); err != nil {
		return node, fmt.Errorf("uplink: %w", err)
	}
	if err := node.links.LinkSetUp(uplink); err != nil {
		return node, fmt.Errorf("uplink: %w", err)
	}
	return node, routeOut(node.links, node.bridge)
}

func hardwareAddress(node, host int) net.HardwareAddr {
	return net.HardwareAddr{0x02, 0x00, 10, 244, byte(node), byte(host)}
}

func (n *nodeNetwork) address(host int) net.IP { return net.IPv4(10, 244, byte(n.number), byte(host)) }

func (n *nodeNetwork) ip() net.IP { return n.address(1) }

// setCut lets packets vanish between the node and everything else, or ends that.
func (n *nodeNetwork) setCut(cut bool) error {
	uplink, err := n.links.LinkByName(uplinkName)
	if err != nil {
		return err
	}
	if cut {
		return n.links.LinkSetDown(uplink)
	}
	return n.links.LinkSetUp(uplink)
}

func (n *nodeNetwork) close() error {
	if n.ns == nil {
		return nil
	}
	n.links.Close()
	return n.ns.close()
}

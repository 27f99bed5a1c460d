// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// podNetwork is what the containers of a Pod share, over their restarts.
type podNetwork struct {
	node *nodeNetwork
	host int
	ns   *namespace
}

// addPod makes the network of a Pod with an address of its own.
func (n *nodeNetwork) addPod() (pod *podNetwork, err error) {
	pod = &podNetwork{node: n}
	if pod.host, err = n.take(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make the network of a Pod: %w", err), pod.close())
		}
	}()
	var links *netlink.Handle
	if pod.ns, links, err = newLinks(); err != nil {
		return pod, err
	}
	defer links.Close()
	if err := connect(n.links, n.bridge, fmt.Sprintf("pod-%d", pod.host), pod.ns, podLink); err != nil {
		return pod, err
	}
	link, err := links.LinkByName(podLink)
	if err != nil {
		return pod, err
	}
	if err := links.LinkSetHardwareAddr(link, hardwareAddress(n.number, pod.host)); err != nil {
		return pod, err
	}
	if err := links.AddrAdd(link, addressOf(pod.ip())); err != nil {
		return pod, fmt.Errorf("address %v: %w", pod.ip(), err)
	}
	if err := links.LinkSetUp(link); err != nil {
		return pod, err
	}
	return pod, routeOut(links, link)
}

// take returns the last number of an address that no Pod has.
func (n *nodeNetwork) take() (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range lastPodHost - firstPodHost + 1 {
		host := n.next
		if n.next++; n.next > lastPodHost {
			n.next = firstPodHost
		}
		if !n.taken[host] {
			n.taken[host] = true
			return host, nil
		}
	}
	return 0, errors.New("the node has no free address for a Pod")
}

func (p *podNetwork) ip() net.IP { return p.node.address(p.host) }

// close removes the link first: its namespace may live on a moment with a process that is dying.
func (p *podNetwork) close() error {
	var err error
	if link, missing := p.node.links.LinkByName(fmt.Sprintf("pod-%d", p.host)); missing == nil {
		err = p.node.links.LinkDel(link)
	}
	if p.ns != nil {
		err = errors.Join(err, p.ns.close())
	}
	p.node.mu.Lock()
	delete(p.node.taken, p.host)
	p.node.mu.Unlock()
	return err
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/netproxy"
)

// The cluster's addresses: node i has 10.244.i.1 (i from 1), its Pods the others of 10.244.i.0/24. It is all one link, so that
// a packet between two Pods passes the bridges of two nodes and the cluster's between them.
const (
	addressBits  = 16
	maxNodes     = 100
	firstPodHost = 2
	lastPodHost  = 254
)

var (
	gatewayIP  = net.IPv4(10, 244, 0, 1)
	gatewayMAC = net.HardwareAddr{0x02, 0x00, 10, 244, 0, 1}
	everywhere = net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
)

// Names of links; each is in a namespace that has no other one of its kind.
const (
	bridgeName = "bridge"
	uplinkName = "uplink"
	podLink    = "eth0"
)

// network connects the nodes, and has the API server at the address of the service "kubernetes".
type network struct {
	ns        *namespace
	links     *netlink.Handle
	bridge    netlink.Link
	apiServer *netproxy.Proxy
}

// newNetwork makes a network without nodes. apiServer is where the API server listens on this machine.
func newNetwork(apiServer string) (n *network, err error) {
	n = &network{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make the cluster's network: %w", err), n.close())
		}
	}()
	if n.ns, n.links, err = newLinks(); err != nil {
		return n, err
	}
	if n.bridge, err = addBridge(n.links, gatewayMAC, gatewayIP); err != nil {
		return n, err
	}
	service := &net.IPNet{IP: net.ParseIP(controlplane.ServiceIP), Mask: net.CIDRMask(32, 32)}
	if err := n.links.AddrAdd(n.bridge, &netlink.Addr{IPNet: service}); err != nil {
		return n, fmt.Errorf("address %v: %w", service, err)
	}
	listener, err := n.ns.listen(net.JoinHostPort(controlplane.ServiceIP, apiServerPort))
	if err != nil {
		return n, err
	}
	n.apiServer = netproxy.On(listener, apiServer)
	return n, nil
}

// newLinks makes a namespace whose loopback interface is up, and the means to make links in it.
func newLinks() (*namespace, *netlink.Handle, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, nil, err
	}
	links, err := netlink.NewHandleAt(netns.NsHandle(int(ns.file.Fd())), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("netlink: %w", err), ns.close())
	}
	loopback, err := links.LinkByName("lo")
	if err == nil {
		err = links.LinkSetUp(loopback)
	}
	if err != nil {
		links.Close()
		return nil, nil, errors.Join(fmt.Errorf("loopback interface: %w", err), ns.close())
	}
	return ns, links, nil
}

func addBridge(links *netlink.Handle, mac net.HardwareAddr, ip net.IP) (netlink.Link, error) {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.HardwareAddr = bridgeName, mac
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	if err := links.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("add bridge: %w", err)
	}
	if err := links.AddrAdd(bridge, addressOf(ip)); err != nil {
		return nil, fmt.Errorf("address %v: %w", ip, err)
	}
	return bridge, links.LinkSetUp(bridge)
}

func addressOf(ip net.IP) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: net.CIDRMask(addressBits, 32)}}
}

// routeOut sends what is for elsewhere, as the API server is, to the gateway. The gateway's hardware address is made known for
// good: otherwise a node that is cut would soon be told that there is no route to the host, and packets are to vanish.
func routeOut(links *netlink.Handle, link netlink.Link) error {
	index := link.Attrs().Index
	neighbour := &netlink.Neigh{LinkIndex: index, State: netlink.NUD_PERMANENT, IP: gatewayIP, HardwareAddr: gatewayMAC}
	if err := links.NeighSet(neighbour); err != nil {
		return fmt.Errorf("neighbour %v: %w", gatewayIP, err)
	}
	if err := links.RouteAdd(&netlink.Route{LinkIndex: index, Dst: &everywhere, Gw: gatewayIP}); err != nil {
		return fmt.Errorf("route to %v: %w", gatewayIP, err)
	}
	return nil
}

// connect makes a link of two ends: a port of a bridge, and whatever the other end is for in another namespace.
func connect(links *netlink.Handle, bridge netlink.Link, name string, ns *namespace, otherName string) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MasterIndex = name, bridge.Attrs().Index
	link := &netlink.Veth{LinkAttrs: attributes, PeerName: otherName, PeerNamespace: netlink.NsFd(int(ns.file.Fd()))}
	if err := links.LinkAdd(link); err != nil {
		return fmt.Errorf("add link %s: %w", name, err)
	}
	return links.LinkSetUp(link)
}

// dial connects from outside all nodes.
func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.ns.dial(ctx, network, address)
}

func (n *network) close() error {
	var errs []error
	if n.apiServer != nil {
		errs = append(errs, n.apiServer.Close())
	}
	if n.ns != nil {
		n.links.Close()
		errs = append(errs, n.ns.close())
	}
	return errors.Join(errs...)
}

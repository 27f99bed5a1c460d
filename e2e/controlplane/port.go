// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"net"
	"strconv"
)

const loopback = "127.0.0.1"

// A port of the loopback address that is held until release, so that a server can be stopped and started again on it.
type port struct {
	number  int
	release func() error
}

func (p *port) String() string { return strconv.Itoa(p.number) }

func (p *port) url() string { return "https://" + net.JoinHostPort(loopback, p.String()) }

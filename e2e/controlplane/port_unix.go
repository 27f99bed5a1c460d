// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package controlplane

import (
	"fmt"
	"net"
)

// reservePort finds a free port. Other systems than Linux let nobody listen on a port that is held, so another process may
// take it before the server does, which then fails to start and says so.
func reservePort() (*port, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, fmt.Errorf("reserve port: %w", err)
	}
	number := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return nil, fmt.Errorf("reserve port %d: %w", number, err)
	}
	return &port{number: number, release: func() error { return nil }}, nil
}

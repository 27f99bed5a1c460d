// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// reservePort finds a free port and holds it by a socket that is bound but never listens.
//
// Linux lets a second socket bind and listen there as long as both have SO_REUSEADDR, which every Go server sets. Nobody is
// given the port otherwise, not as any free port and not as the local end of an outgoing connection, so it is still there
// when the server has restarted.
func reservePort() (*port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve port: socket: %w", err)
	}
	number, err := bindAny(socket)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reserve port: %w", err), unix.Close(socket))
	}
	return &port{number: number, release: func() error { return unix.Close(socket) }}, nil
}

func bindAny(socket int) (int, error) {
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, fmt.Errorf("bind: %w", err)
	}
	// Only now: with the option set earlier, the kernel could pick a port that another control plane holds in this way.
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, fmt.Errorf("set SO_REUSEADDR: %w", err)
	}
	address, err := unix.Getsockname(socket)
	if err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	bound, ok := address.(*unix.SockaddrInet4)
	if !ok {
		return 0, fmt.Errorf("getsockname: %T is not an IPv4 address", address)
	}
	return bound.Port, nil
}

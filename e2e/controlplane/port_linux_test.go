// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReservedPortCanBeServedAgainAndAgain(t *testing.T) {
	port, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = port.release() }()
	address := strings.TrimPrefix(port.url(), "https://")
	for range 3 {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		// The server's side is closed first, so it is the one that stays in TIME_WAIT.
		for _, closer := range []interface{ Close() error }{server, client, listener} {
			if err := closer.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestReservedPortIsNobodysLocalEnd(t *testing.T) {
	port, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = port.release() }()
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(loopback), Port: port.number}}
	connection, err := dialer.Dial("tcp", listener.Addr().String())
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("dialing from the reserved port returned %v, %v; want %v", connection, err, unix.EADDRINUSE)
	}
}

func TestReservedPortCannotBeReservedAgain(t *testing.T) {
	port, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = port.release() }()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(socket) }()
	err = unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port.number})
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("binding the reserved port returned %v, want %v", err, unix.EADDRINUSE)
	}
}

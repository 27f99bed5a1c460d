// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace without a name: the kernel removes it, with the links in it, when nobody has it open any more
// and no process lives in it. That is so however this process ends.
type namespace struct {
	file *os.File
}

// newNamespace makes a network namespace, in which not even the loopback interface is up.
func newNamespace() (*namespace, error) {
	ns := &namespace{}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		ns.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	return ns, nil
}

// enter moves the calling thread, which must be one of onThread, into the namespace.
func (ns *namespace) enter() error {
	return os.NewSyscallError("setns", unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET))
}

// dial connects from within the namespace to an address, which has to be an IP address and a port. A connection stays in the
// namespace that it was made in, whoever reads from it.
func (ns *namespace) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = onThread(func() (err error) {
		if err := ns.enter(); err != nil {
			return err
		}
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// listen is like dial, for a listener.
func (ns *namespace) listen(address string) (listener net.Listener, err error) {
	err = onThread(func() (err error) {
		if err := ns.enter(); err != nil {
			return err
		}
		listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", address)
		return err
	})
	return listener, err
}

func (ns *namespace) close() error { return ns.file.Close() }

// onThread runs a function on a thread that ends afterwards, so that it may change the thread's namespaces, and waits for it.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, which is what ends the thread together with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// But not this one: the first thread of a process stays, and what it has becomes what /proc/self says.
			defer runtime.UnlockOSThread()
			done <- onThread(f)
			return
		}
		done <- f()
	}()
	return <-done
}

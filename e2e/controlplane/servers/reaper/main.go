// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command reaper clears up after the process that started it, however that process ends.
//
// It waits for the end of its standard input, a pipe whose other end only its parent holds: the kernel closes it when the
// parent dies, be it by SIGKILL. Then it removes the directory given as its argument, and kills its own process group, which
// the servers have joined. It is the group's leader, so the group's number cannot have passed to anybody else by then.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Files may still be created while the directory is removed, by servers that are dying at this moment.
const (
	attempts = 50
	pause    = 100 * time.Millisecond
)

func main() {
	if len(os.Args) != 2 || syscall.Getpgrp() != os.Getpid() {
		fmt.Fprintln(os.Stderr, "usage: reaper DIRECTORY, as the leader of a process group")
		os.Exit(2)
	}
	// The end of the parent is what counts, not a signal that the parent may survive.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// An error means that no parent can be waited for, which is the same as its end.
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := remove(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "reaper:", err)
	}
	_ = syscall.Kill(0, syscall.SIGKILL)
}

func remove(dir string) error {
	var err error
	for range attempts {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(pause)
	}
	return err
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command sim runs random histories of the election; see package sim.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// gcPercent: a history needs a few megabytes and makes a lot of garbage; memory
// is cheaper than collecting it every few milliseconds.
const gcPercent = 400

func main() {
	debug.SetGCPercent(gcPercent)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp), errors.Is(err, errFlags):
		os.Exit(2) // the flags have said why
	case errors.Is(err, errViolated), errors.Is(err, errNeverHappened):
		os.Exit(1) // the output has said what
	case errors.Is(err, errInterrupted):
		os.Exit(130) // as a shell has it; the output has said so
	case err != nil:
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(2)
	}
}

var (
	// errViolated: something that must never be was found.
	errViolated = errors.New("violated")
	// errNeverHappened: so many histories without some kind of fault, or some
	// cause of a term, prove nothing.
	errNeverHappened = errors.New("never happened")
	// errInterrupted: a signal came before all histories had run.
	errInterrupted = errors.New("interrupted")
	// errFlags: the command line cannot be understood.
	errFlags = errors.New("flags")
)

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	if o.replays {
		return replay(ctx, o, out)
	}
	return explore(ctx, o, out, progress)
}

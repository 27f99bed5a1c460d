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
	"runtime"
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
	case errors.Is(err, errViolated):
		os.Exit(1) // the output has said what
	case err != nil:
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(2)
	}
}

var (
	// errViolated: something that must never be was found.
	errViolated = errors.New("violated")
	// errFlags: the command line cannot be understood.
	errFlags = errors.New("flags")
)

type options struct {
	histories, from, seed uint64
	workers               int
	verbose, minimize     bool
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Uint64Var(&o.histories, "histories", 20_000, "how many histories to run")
	flags.Uint64Var(&o.from, "from", 0, "run the seeds after this one")
	flags.Uint64Var(&o.seed, "seed", 0, "run only the history of this seed, and print its transcript")
	flags.BoolVar(&o.verbose, "verbose", false, "with -seed: show what each replica sees, too")
	flags.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "how many histories run at a time")
	flags.BoolVar(&o.minimize, "minimize", true, "make the history of a violation as short as it gets, for up to 30 s")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errFlags
	}
	if o.seed != 0 {
		return replay(ctx, o, out)
	}
	return explore(ctx, o, out, progress)
}

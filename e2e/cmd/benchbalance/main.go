// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command benchbalance measures how shards are shared, handed over and moved: `make bench-balance` in the root of the source
// tree. docs/benchmarks.md says how, and what was measured.
//
// Every figure is printed as `name: value`, what is being measured goes to stderr. The exit code is 1 if a figure misses its
// target, or could not be measured; the last lines say which.
//
// Replicas on the real control plane are processes of this very program, with the arguments that a fleet gives to shardctl.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on, a second one ends this process at once; its children go with it.
	context.AfterFunc(ctx, stop)
	run := runBench
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "run" {
		run, args = runReplica, args[1:]
	}
	err := run(ctx, args)
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchbalance:", err)
		os.Exit(1)
	}
}

// part is something that is measured, in the order in which it is if nothing else is asked for.
type part struct {
	name, heading string
	measure       func(ctx context.Context, b *bench) error
}

func parts() []part {
	return []part{
		{"assign", "Assign alone, 10,000 shards over 1,000 members", measureAssign},
		{"rollout", "Rolling updates, simulated with the machines that ship", measureRollouts},
		{"spread", "50 shards over replicas that start one after the other", measureSpread},
		{"requests", "What groups send while nothing happens", measureRequests},
		{"handoff", "50 shards handed over at once by SIGTERM, and the same with client-go's elector", measureHandOffs},
	}
}

func runBench(ctx context.Context, args []string) error {
	flags := pflag.NewFlagSet("benchbalance", pflag.ContinueOnError)
	only := flags.StringSlice("only", nil, "measure these parts only: "+strings.Join(names(parts()), ", "))
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(parts(), *only)
	if err != nil {
		return err
	}
	return measure(ctx, chosen, os.Stdout, os.Stderr)
}

func names(parts []part) []string {
	var all []string
	for _, p := range parts {
		all = append(all, p.name)
	}
	return all
}

// choose picks parts by name; all of them if none is named.
func choose(all []part, only []string) ([]part, error) {
	for _, name := range only {
		if !slices.Contains(names(all), name) {
			return nil, fmt.Errorf("--only: %q is not a part: use some of %s", name, strings.Join(names(all), ", "))
		}
	}
	return slices.DeleteFunc(all, func(p part) bool { return len(only) > 0 && !slices.Contains(only, p.name) }), nil
}

// measure goes through the parts. One that fails does not keep the others from being measured.
func measure(ctx context.Context, chosen []part, out, progress io.Writer) error {
	b := &bench{figures: figures{out: out}, progress: progress}
	var errs []error
	for _, p := range chosen {
		if ctx.Err() != nil {
			errs = append(errs, context.Cause(ctx))
			break
		}
		b.tellf("%s: %s", p.name, p.heading)
		if err := p.measure(ctx, b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	return errors.Join(append(errs, b.close(len(errs) > 0), b.figures.verdict())...)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures shardctl and what people would use instead, on the same work, on the same real control plane, in the
// same run: `make bench` in the root of the source tree. docs/benchmarks.md says how, and what was measured.
//
// Every figure is printed as `name (who): value unit`, what is being measured goes to stderr. The exit code is 1 if a figure
// misses its target, or could not be measured; the last lines say which.
//
// Replicas, controllers and caches on the real control plane are processes of this very program: a word before the flags says
// what it is to be.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on, a second one ends this process at once; its children go with it.
	context.AfterFunc(ctx, stop)
	run, args := runBench, os.Args[1:]
	if len(args) > 0 {
		if command, ok := commands()[args[0]]; ok {
			run, args = command, args[1:]
		}
	}
	err := run(ctx, args)
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// commands are what the program is when a part has started it.
func commands() map[string]func(ctx context.Context, args []string) error {
	return map[string]func(context.Context, []string) error{
		"run":       runReplica,
		"reconcile": runReconciler,
		"cache":     runCache,
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
		{"requests", "What replicas send for their Leases while nothing happens", measureRequests},
		{"spread", "50 shards over replicas that start one after the other, are restarted and updated", measureSpread},
		{"handoff", "50 shards handed over at once by SIGTERM", measureHandOffs},
		{"takeover", "Shards whose holder has crashed", measureTakeOvers},
		{"overlap", "Work that is slow to stop, and replies that are slow to come", measureOverlaps},
		{"throughput", "Empty reconciles per second", measureThroughput},
		{"latency", "From an event to its reconcile, under load", measureLatency},
		{"scaleout", "Reconciles that wait for 20 ms, on 1 to 5 replicas", measureScaleOut},
		{"memory", "Memory per cached object", measureMemory},
		{"rest", "A replica at rest with 200 shards", measureRest},
		{"start", "From the start of a process to caches synced and shards held", measureStart},
	}
}

func runBench(ctx context.Context, args []string) error {
	flags := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	only := flags.StringSlice("only", nil, "measure these parts only: "+strings.Join(names(parts()), ", "))
	quick := flags.Bool("quick", false, "the smallest sizes that still go through everything, without targets: a test of the program")
	out := flags.String("out", "", "the source tree (or an empty directory) to write results, plots and pages into; with --only, these parts take the\n"+
		"place of what is there of them")
	render := flags.Bool("render", false, "measure nothing: make the plots and pages in --out again, from the results that are there")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := checkOut(*out, *render, *quick); err != nil {
		return err
	}
	if *render {
		r, err := readResults(filepath.Join(*out, resultsFile))
		if err != nil {
			return err
		}
		return r.write(*out)
	}
	chosen, err := choose(parts(), *only)
	if err != nil {
		return err
	}
	ctrl.SetLogger(klog.Background()) // controller-runtime's client complains if nobody has
	began := time.Now()
	b := &bench{figures: figures{out: os.Stdout, quick: *quick}, progress: os.Stderr}
	err = b.measure(ctx, chosen)
	if *out != "" && ctx.Err() == nil {
		err = errors.Join(err, save(*out, newResults(began, command(*quick, *only, *out), b), len(*only) > 0))
	}
	if *quick {
		return err
	}
	return errors.Join(err, verdict(b.parts))
}

// checkOut is an error if --out is missing, or if results that mean something would be lost to a test of the program.
func checkOut(tree string, render, quick bool) error {
	if render && tree == "" {
		return errors.New("--render: say with --out where the results are, and the plots and pages are to be: --out=../.. in e2e/bench")
	}
	if !quick || tree == "" {
		return nil
	}
	before, err := readResults(filepath.Join(tree, resultsFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !before.Quick:
		return fmt.Errorf("--quick measures nothing, and --out has results that were measured, %s: use an empty directory", resultsFile)
	}
	return nil
}

// sourceTreeOut is --out of a run that is made for this source tree, which make bench has unless it is told otherwise.
const sourceTreeOut = "../.."

// command is what somebody types to have the same measured, and written. Another tree than this one is not named: where
// somebody keeps it tells nothing.
func command(quick bool, only []string, out string) string {
	var flags []string
	if quick {
		flags = append(flags, "--quick")
	}
	if len(only) > 0 {
		flags = append(flags, "--only "+strings.Join(only, ","))
	}
	switch {
	case out == sourceTreeOut && flags == nil:
		return "make bench"
	case out == sourceTreeOut:
		flags = append(flags, "--out="+out)
	case out != "":
		flags = append(flags, "--out=DIR")
	}
	return fmt.Sprintf("make bench BENCHFLAGS='%s'", strings.Join(flags, " "))
}

// save writes the results: those of some parts in the place of the same parts of what is there. Of a part that has failed, what is
// there stays.
func save(tree string, r results, some bool) error {
	before, err := readResults(filepath.Join(tree, resultsFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r.write(tree)
	case some && err != nil:
		return err
	case some:
		if r, err = before.merge(r); err != nil {
			return err
		}
	case err == nil: // what cannot be read is replaced
		r = r.keep(before)
	}
	return r.write(tree)
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

// measure goes through the parts. One that fails does not keep the others from being measured, and what it has left running is not
// measured with them: the groups of every part end with it.
func (b *bench) measure(ctx context.Context, chosen []part) error {
	var errs []error
	for _, p := range chosen {
		if ctx.Err() != nil {
			errs = append(errs, context.Cause(ctx))
			break
		}
		b.tellf("%s: %s", p.name, p.heading)
		b.begin(p)
		began, groups := time.Now(), len(b.groups)
		err := errors.Join(p.measure(ctx, b), b.closeGroups(groups))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
		m := b.current()
		m.Seconds, m.Failed = math.Round(time.Since(began).Seconds()), err != nil
	}
	return errors.Join(append(errs, b.close(len(errs) > 0))...)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command faults does harm to replicas and to the control plane that they run against, and has an oracle judge every write by
// the order in which etcd took it: `make faults` in the root of the source tree. docs/faults.md says what is done, how to read
// the table and how to repeat a run.
//
// The table goes to stdout and ends with `faults: N runs, 0 overlapping writes, 0 unreconciled`; a line per run goes to stderr.
// The exit code is 1 if anything is wrong with a row, or if it proves nothing; the last lines then say what, and where the logs
// are.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/shardctl/shardctl/e2e/faults"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on, a second one ends this process at once; its children go with it.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	o.Progress = progress
	if o.Dir, err = os.MkdirTemp("", "shardctl-faults-"); err != nil {
		return err
	}
	fmt.Fprintf(progress, "SEED=%d\n", o.Seed)
	table, err := faults.Run(ctx, o)
	if len(table) > 0 { // else nothing has begun
		err = errors.Join(err, table.Print(out))
	}
	if ctx.Err() == nil { // else it shows less than it has to
		err = errors.Join(err, table.Err())
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w\nall logs are in %s", err, o.Dir)
	}
	return errors.Join(err, os.RemoveAll(o.Dir))
}

// parse reads the command line.
func parse(args []string) (o faults.Options, err error) {
	flags := pflag.NewFlagSet("faults", pflag.ContinueOnError)
	flags.IntVar(&o.Runs, "runs", 0, "of each kind (default 20)")
	flags.Uint64Var(&o.Seed, "seed", 1, "of all that is up to chance")
	flags.IntVar(&o.Groups, "groups", 0, "side by side where a fault hits a replica only (default 2)")
	flags.DurationVar(&o.Longest, "longest", 0, "limits how long one fault lasts (default: no limit)")
	names := flags.StringSlice("kinds", nil, "run these only (default all)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.Kinds, err = faults.Choose(*names...)
	return o, err
}

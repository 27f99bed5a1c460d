// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"

	"github.com/shardctl/shardctl/internal/sim"
)

// options are what the command line asks for.
type options struct {
	histories, from, seed uint64
	workers               int
	verbose, minimize     bool
	// replays tells that a seed was given, which may be 0.
	replays bool
	// only is what is kept of the history of that seed; nil: all of it.
	only *sim.Selection
}

// parse reads the command line; what is wrong with it is written to messages.
func parse(args []string, messages io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	flags.SetOutput(messages)
	flags.Uint64Var(&o.histories, "histories", 20_000, "how many histories to run")
	flags.Uint64Var(&o.from, "from", 0, "run the seeds after this one")
	flags.Uint64Var(&o.seed, "seed", 0, "run only the history of this seed, and print its transcript")
	flags.StringVar(&only, "only", "", "with -seed: keep only these faults, as the minimiser prints them")
	flags.BoolVar(&o.verbose, "verbose", false, "with -seed: show what each replica sees, too")
	flags.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "how many histories run at a time")
	flags.BoolVar(&o.minimize, "minimize", true, "make the history of a violation as short as it gets, for up to 30 s")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errFlags
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	o.replays = given["seed"]
	err := o.validate(given, flags.Args())
	if err == nil && given["only"] {
		var kept sim.Selection
		kept, err = sim.ParseSelection(only)
		o.only = &kept
	}
	if err != nil {
		fmt.Fprintln(messages, "sim:", err)
		return o, errFlags
	}
	return o, nil
}

// validate says what is wrong with what was given.
func (o *options) validate(given map[string]bool, arguments []string) error {
	if len(arguments) > 0 {
		return fmt.Errorf("unexpected argument %q: leave it out; everything is said with flags, see -h", arguments[0])
	}
	if o.histories == 0 {
		return errors.New("-histories 0 would prove nothing: use 1 or more (make sim HISTORIES=20000)")
	}
	if o.workers < 1 {
		return fmt.Errorf("-workers %d is not allowed: use 1 or more, or leave it out for one per core", o.workers)
	}
	for _, name := range []string{"verbose", "only"} {
		if given[name] && !o.replays {
			return fmt.Errorf("-%s is about one history: say which with -seed (make sim SEED=n)", name)
		}
	}
	for _, name := range []string{"histories", "from"} {
		if given[name] && o.replays {
			return fmt.Errorf("-%s is about many histories, -seed about one: leave one of them out", name)
		}
	}
	return nil
}

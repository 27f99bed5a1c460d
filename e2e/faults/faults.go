// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// Run does all runs and returns the table, also if there is an error: then of what was done so far. Nothing that it has started
// outlives it. Whether the table shows what it has to is for [Table.Err] to say.
func Run(ctx context.Context, o Options) (Table, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	o.Progress = &lines{out: o.Progress}
	built, err := buildPrograms(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	table := make(Table, len(o.Kinds))
	errs := make([]error, len(o.Kinds))
	var kinds errgroup.Group
	kinds.SetLimit(o.SideBySide)
	for i, k := range o.Kinds {
		kinds.Go(func() error {
			table[i] = Row{Kind: k}
			if ctx.Err() == nil {
				table[i], errs[i] = runKind(ctx, o, k, built.of(k))
			}
			return nil // one kind that fails does not keep the others from being run
		})
	}
	_ = kinds.Wait()
	if err := errors.Join(errs...); err != nil {
		return table, err
	}
	return table, context.Cause(ctx)
}

// runKind does all runs of a kind, in batches.
func runKind(ctx context.Context, o Options, k Kind, program string) (Row, error) {
	row := Row{Kind: k}
	for from := 0; from < o.Runs; from += maxBatch {
		dir := filepath.Join(o.Dir, k.Name, fmt.Sprint(from/maxBatch))
		b := &batch{options: o, kind: k, dir: dir, program: program, from: from, to: min(from+maxBatch, o.Runs)}
		judged, err := b.run(ctx)
		row.add(judged)
		fmt.Fprintf(o.Progress, "%s: %d runs so far, %d take-overs, %d and %d writes refused locally and by the API server, %d overlapping writes, %d unreconciled\n",
			k.Name, row.Runs, row.TakeOvers, row.RefusedLocally, row.RefusedByServer, row.Overlapping, row.Unreconciled)
		if err != nil {
			return row, fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return row, nil
}

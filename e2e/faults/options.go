// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Options say what is to be done. Dir is required.
type Options struct {
	// Runs of each kind. Default 20.
	Runs int
	// Kinds to run, in this order. Default: all, as [Kinds] has them.
	Kinds []Kind
	// Seed of all that is up to chance: how long faults last, when they come, and whom they hit. 0 is a seed like any other.
	Seed uint64
	// Longest limits how long one fault lasts, but not below what its kind needs at least. Default: no limit.
	Longest time.Duration
	// Groups are how many groups of replicas run side by side on one control plane, where a fault hits a replica only. Default
	// 2, which two cores can bear.
	Groups int
	// SideBySide are how many kinds run at a time, each on a control plane of its own. Default 1.
	SideBySide int
	// Dir receives programs and logs. It is created if need be, and never removed.
	Dir string
	// Progress receives a line per run. Default: nobody.
	Progress io.Writer
}

const (
	defaultRuns   = 20
	defaultGroups = 2
	maxGroups     = 8
	maxSideBySide = 8
	noLimit       = time.Hour // is longer than any fault
)

func (o Options) withDefaults() (Options, error) {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("dir: is missing: name a directory for programs and logs"))
	}
	if o.Runs < 0 {
		errs = append(errs, fmt.Errorf("runs: %d is not allowed: use 1 or more, or 0 for the default of %d", o.Runs, defaultRuns))
	}
	if o.Groups < 0 || o.Groups > maxGroups {
		errs = append(errs, fmt.Errorf("groups: %d is not allowed: use 1 to %d, or 0 for the default of %d", o.Groups, maxGroups, defaultGroups))
	}
	if o.SideBySide < 0 || o.SideBySide > maxSideBySide {
		errs = append(errs, fmt.Errorf("sideBySide: %d is not allowed: use 1 to %d, or 0 for the default of 1", o.SideBySide, maxSideBySide))
	}
	if o.Longest < 0 {
		errs = append(errs, fmt.Errorf("longest: %s is not allowed: use more than 0, or 0 for no limit", o.Longest))
	}
	if len(errs) > 0 {
		return o, fmt.Errorf("options of the fault tests: %w", errors.Join(errs...))
	}
	o.Runs, o.Groups, o.Longest = cmp.Or(o.Runs, defaultRuns), cmp.Or(o.Groups, defaultGroups), cmp.Or(o.Longest, noLimit)
	o.SideBySide = cmp.Or(o.SideBySide, 1)
	if len(o.Kinds) == 0 {
		o.Kinds = Kinds()
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return o, nil
}

// Choose returns the kinds of these names, in the order of the table; all if there is no name.
func Choose(names ...string) ([]Kind, error) {
	all := Kinds()
	var known []string
	for _, k := range all {
		known = append(known, k.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%q is not a kind of fault: use some of %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(all, func(k Kind) bool { return len(names) > 0 && !slices.Contains(names, k.Name) }), nil
}

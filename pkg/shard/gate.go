// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Gate keeps a role from a replica that is not fit for it: one whose database does not
// answer, say. Every replica that has the role checks itself, whether it holds the role or
// not, all the time. It takes the role only while its own gate is open, and gives it up,
// after the work has ended, when its gate closes. If the gates of all replicas are closed
// nobody holds the role.
//
// It is no fence: work goes on for a while after what it needs has failed.
type Gate struct {
	// Check returns nil if the replica is fit, else why not: the text is shown to people.
	// It may be called from the time when the group runs, never twice at a time, and
	// its context ends with the Timeout. Its context carries no [Term].
	Check func(ctx context.Context) error
	// Interval is from one check to the next, up to a tenth longer so that replicas
	// do not check in step. 100 ms at least, an hour at most. Default: 5 s.
	Interval time.Duration
	// Timeout bounds one check; a check that is not over by then has failed. 10 ms at least,
	// the Interval at most. Default: 1 s, or the Interval if that is less.
	Timeout time.Duration
	// FailureThreshold is how many checks in a row have to fail for the gate to close,
	// SuccessThreshold how many have to succeed for it to open. It is closed at first.
	// 1000 at most. Defaults: 3 and 1.
	FailureThreshold, SuccessThreshold int
}

const (
	defaultGateInterval  = 5 * time.Second
	minGateInterval      = 100 * time.Millisecond
	maxGateInterval      = time.Hour
	defaultGateTimeout   = time.Second
	minGateTimeout       = 10 * time.Millisecond
	defaultGateFailures  = 3
	defaultGateSuccesses = 1
	maxGateThreshold     = 1000
)

func (g *Gate) setDefaults() {
	g.Interval = cmp.Or(g.Interval, defaultGateInterval)
	g.Timeout = cmp.Or(g.Timeout, min(defaultGateTimeout, g.Interval))
	g.FailureThreshold = cmp.Or(g.FailureThreshold, defaultGateFailures)
	g.SuccessThreshold = cmp.Or(g.SuccessThreshold, defaultGateSuccesses)
}

// validate reports everything that is wrong with a Gate, which may lack its defaults.
func (g *Gate) validate() error {
	set := *g
	set.setDefaults()
	var errs []error
	if set.Check == nil {
		errs = append(errs, errors.New("gate.check: is required"))
	}
	if set.Interval < minGateInterval || set.Interval > maxGateInterval {
		errs = append(errs, fmt.Errorf("gate.interval: %s is not allowed: use %s to %s, or 0 for %s", set.Interval, minGateInterval, maxGateInterval, defaultGateInterval))
	} else if set.Timeout < minGateTimeout || set.Timeout > set.Interval {
		errs = append(errs, fmt.Errorf("gate.timeout: %s is not allowed: use %s up to the interval, %s", set.Timeout, minGateTimeout, set.Interval))
	}
	for _, threshold := range []struct {
		name string
		n    int
	}{{"failureThreshold", set.FailureThreshold}, {"successThreshold", set.SuccessThreshold}} {
		if threshold.n < 1 || threshold.n > maxGateThreshold {
			errs = append(errs, fmt.Errorf("gate.%s: %d is not allowed: use 1 to %d", threshold.name, threshold.n, maxGateThreshold))
		}
	}
	return errors.Join(errs...)
}

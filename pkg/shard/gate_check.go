// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// checker calls a check, once at a time: what hangs must not pile up.
type checker struct {
	check   func(ctx context.Context) error
	timeout time.Duration
	// start runs a function on a goroutine that somebody waits for.
	start func(func() error)

	running chan struct{} // closed when the check that was begun last has returned; nil before the first
}

var errStillChecking = errors.New("a check that ignores its context still runs")

// once checks, and returns what came of it, at the end of the time-out at the latest. What a
// check says later than that is of no interest any more.
func (c *checker) once(ctx context.Context) error {
	if !c.idle() {
		return errStillChecking
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s", c.timeout))
	defer cancel()
	running, result := make(chan struct{}), make(chan error, 1)
	c.running = running
	c.start(func() error {
		err := c.call(ctx)
		close(running)
		result <- err
		return nil
	})
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// idle tells whether no check runs.
func (c *checker) idle() bool {
	select {
	case <-c.running:
		return true
	default:
		return c.running == nil
	}
}

func (c *checker) call(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the check: %v\n%s", p, debug.Stack())
		}
	}()
	return c.check(ctx)
}

// await waits until no check runs, for as long as the patience at most. Its context has ended
// by then.
func (c *checker) await(patience time.Duration) (ended bool) {
	if c.idle() {
		return true
	}
	select {
	case <-c.running:
		return true
	case <-time.After(patience):
		return false
	}
}

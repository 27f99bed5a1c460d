// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
)

// Probe looks once, and returns nil if all is well, else why it is not. The text of the error
// is for people: it names what was looked at, and is the same each time that the same is
// wrong, as far as that can be known.
type Probe func(ctx context.Context) error

// New makes the probe of a configuration that Validate has nothing against. pod is what
// Config.Pod asks, and nil elsewhere.
func New(c *Config, pod *OwnPod) (Probe, error) {
	switch {
	case c.HTTP != nil:
		return newHTTP(c.HTTP)
	case c.TCP != nil:
		return c.TCP.probe, nil
	case c.Exec != nil:
		return c.Exec.probe, nil
	case c.Pod != nil && pod != nil:
		return pod.Ready, nil
	case c.Pod != nil:
		return nil, errors.New("pod: this process does not know which Pod it runs in: set POD_NAME and POD_UID by the downward API")
	default:
		return nil, errNone
	}
}

var errNone = errors.New("names no probe: set one of http, tcp, exec, pod")

// outcome is err, or why the context ended if that is the reason: a connection that is
// cut short says so in many words.
func outcome(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer in time", what)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

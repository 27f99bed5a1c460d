// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// patience says whether and for how long a command waits for what it has asked
// the replicas to do.
type patience struct {
	none    bool
	timeout time.Duration
}

func (p *patience) addFlags(cmd *cobra.Command, timeout time.Duration) {
	cmd.Flags().BoolVar(&p.none, "no-wait", false, "return once the wish is written, and leave the rest to the replicas")
	cmd.Flags().DurationVar(&p.timeout, "timeout", timeout, "how long to wait; the wish stays when it is over")
}

func (p *patience) validate() error {
	if p.timeout <= 0 {
		return fmt.Errorf("--timeout: %v is not allowed: use more than 0, or --no-wait", p.timeout)
	}
	return nil
}

var errWaitedInVain = errors.New("the time is up")

// progress says what is still missing, or what to say once it is done. An error
// means that it will never be.
type progress func(snapshot) (missing, done string, err error)

// await waits until something is done, and says each time what is missing when
// that changes. The error says what was missing last.
func (g *group) await(ctx context.Context, out io.Writer, p patience, until progress) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, errWaitedInVain)
	defer cancel()
	var missing string
	err := g.follow(ctx, 0, func(v view) (bool, error) {
		now, done, err := until(v.snapshot)
		if err != nil {
			return false, err
		}
		if done != "" {
			fmt.Fprintln(out, done)
			return true, nil
		}
		if v.lost != nil {
			now = fmt.Sprintf("the API server cannot be reached: %v", v.lost)
		}
		if now != missing {
			fmt.Fprintln(out, now)
		}
		missing = now
		return false, nil
	})
	switch {
	case errors.Is(err, errWaitedInVain):
		return fmt.Errorf("waited for %v: %s", p.timeout, cmp.Or(missing, "the Leases could not be listed"))
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("not waiting any longer (%w): %s", err, missing)
	}
	return err
}

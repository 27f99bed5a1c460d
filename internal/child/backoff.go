// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"fmt"
	"time"
)

// Backoff says how long to wait before a program that has ended is started again: first Initial, then twice
// as long each time, up to Max. Once it ran for longer than Max, it begins with Initial again.
type Backoff struct {
	Initial time.Duration // default 1 s
	Max     time.Duration // default 5 min
}

func (b Backoff) validate() error {
	switch {
	case b.Initial < 0:
		return fmt.Errorf("restart.initial: %s is not allowed: use more than 0", b.Initial)
	case b.Max < b.Initial:
		return fmt.Errorf("restart.max: %s is not allowed: use restart.initial (%s) or more", b.Max, b.Initial)
	}
	return nil
}

// pauses are those between the runs of one program.
type pauses struct {
	Backoff
	next time.Duration
}

// after returns the pause that follows on a run. One that the program did not end by itself is not held
// against it.
func (p *pauses) after(ran time.Duration, stopped bool) time.Duration {
	if p.next == 0 || ran > p.Max || stopped {
		p.next = p.Initial
	}
	pause := p.next
	p.next = min(2*p.next, p.Max)
	return pause
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"io"

	"github.com/shardctl/shardctl/internal/schedule"
)

// ScheduleCounts are what has become of the ticks of schedules.
type ScheduleCounts struct {
	Ticks     int // up to the last claim
	Claims    int // that came on record
	Withdrawn int // of those, before anything was started
	Starts    int
	Repeats   int // of those, of ticks that had been started, or may have been
	Ended     int // runs
	Lost      int // ticks that were claimed, and never started
	Skipped   map[schedule.Reason]int
	// Killed and Paused are how often processes were at each step.
	Killed, Paused [steps]int
}

func (c *ScheduleCounts) add(other ScheduleCounts) {
	c.Ticks += other.Ticks
	c.Claims += other.Claims
	c.Withdrawn += other.Withdrawn
	c.Starts += other.Starts
	c.Repeats += other.Repeats
	c.Ended += other.Ended
	c.Lost += other.Lost
	if c.Skipped == nil {
		c.Skipped = map[schedule.Reason]int{}
	}
	for reason, n := range other.Skipped {
		c.Skipped[reason] += n
	}
	for i := range steps {
		c.Killed[i] += other.Killed[i]
		c.Paused[i] += other.Paused[i]
	}
}

// print writes them as lines of a summary.
func (c ScheduleCounts) print(out io.Writer) {
	fmt.Fprintf(out, "schedules: %d ticks, %d claims on record, %d of them withdrawn; %d starts, %d of them repeats, %d runs ended; lost with the holder: %d ticks; passed over:",
		c.Ticks, c.Claims, c.Withdrawn, c.Starts, c.Repeats, c.Ended, c.Lost)
	for _, reason := range schedule.Reasons() {
		fmt.Fprintf(out, " %d %s", c.Skipped[reason], reason)
	}
	fmt.Fprintln(out)
	for i, name := range stepNames {
		fmt.Fprintf(out, "  killed %d times, paused %d times %s\n", c.Killed[i], c.Paused[i], name)
	}
}

// missing says what never happened to a schedule.
func (c ScheduleCounts) missing() []string {
	var missing []string
	for i, name := range stepNames {
		if c.Killed[i] == 0 {
			missing = append(missing, "a process killed "+name)
		}
	}
	for _, one := range []struct {
		n    int
		what string
	}{
		{c.Starts, "a tick that was started"},
		{c.Repeats, "a tick that was started again"},
		{c.Lost, "a tick lost with its holder"},
		{c.Skipped[schedule.Missed], "a tick that was missed"},
		{c.Skipped[schedule.Deadline], "a tick whose deadline passed"},
		{c.Skipped[schedule.Concurrent], "a tick that waited for a run in vain"},
	} {
		if one.n == 0 {
			missing = append(missing, one.what)
		}
	}
	return missing
}

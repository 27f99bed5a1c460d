// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// A watch that lags by more than a RenewInterval, and by much less than the
// RenewDeadline, must not cost the session: the own heartbeats do come back.
func TestWatchThatLagsByMoreThanARenewInterval(t *testing.T) {
	for _, test := range []struct {
		name    string
		timings lease.Timings
		lag     time.Duration
		mode    lease.Mode
	}{
		{"default", lease.Default, 2500 * time.Millisecond, lease.SessionMode},
		{"default", lease.Default, 3500 * time.Millisecond, lease.SessionMode},
		{"default, lease mode", lease.Default, 3500 * time.Millisecond, lease.LeaseMode},
		{"fast", lease.Fast, 900 * time.Millisecond, lease.SessionMode},
		{"fast", lease.Fast, 1200 * time.Millisecond, lease.SessionMode},
	} {
		t.Run(test.name+" "+test.lag.String(), func(t *testing.T) {
			s := newScenario(t, "s1")
			s.Config.Timings, s.Config.Mode = test.timings, test.mode
			s.InstallLayout()
			s.Start("a")
			s.within(2*time.Second, "a")
			s.Faults.WatchDelay = sim.Exactly(test.lag)
			s.stays(time.Minute, "a")
		})
	}
}

func TestSessionBehindALaggingWatchBecomesValid(t *testing.T) {
	s := installed(t, "s1")
	s.Faults.WatchDelay = sim.Exactly(3500 * time.Millisecond)
	s.Start("a")
	s.within(3*time.Minute, "a")
}

// As many attempts are under way as Timings.Validate allows for.
func TestAttemptsFitIntoARenewDeadline(t *testing.T) {
	s := newScenario(t, "s1")
	s.Config.Timings = lease.Timings{LeaseDuration: 60 * time.Second, RenewDeadline: 36 * time.Second, RenewInterval: 100 * time.Millisecond}
	s.InstallLayout()
	s.Start("a")
	s.within(2*time.Second, "a")
	s.Faults.WatchDelay = sim.Exactly(8 * time.Second)
	s.stays(2*time.Minute, "a")
}

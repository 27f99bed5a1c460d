// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import "time"

const (
	// settling is how long after an outage the heartbeats of the meantime take to
	// come in.
	settling = 2 * time.Second
	// defaultPatience stands in for half a LeaseDuration where no session goes on.
	defaultPatience = 8 * time.Second
)

// sight knows how old the replica's view of the group is. While that is old,
// nobody's heartbeats are seen and nobody lapses by that: the time stands still.
type sight struct {
	newest  time.Time // when something new was shown last; zero if nothing ever was
	stopped time.Time // where the time stands still; zero while it goes on
	back    time.Time // when something was shown again; zero if nothing was since
}

// look takes in that the group is looked at now, and whether the watch has shown
// something new since the last look. Patience is how long nothing may be shown. It
// returns the time by which the group is to be judged.
func (s *sight) look(fresh bool, patience time.Duration, now time.Time) (at time.Time, state ViewState) {
	if s.newest.IsZero() && !fresh {
		return now, ViewWaiting
	}
	if silent := now.Sub(s.newest) > patience; silent && !s.newest.IsZero() {
		if s.stopped.IsZero() {
			s.stopped = s.newest.Add(patience)
		}
		s.back = time.Time{}
	}
	if fresh {
		s.newest = now
		if s.back.IsZero() {
			s.back = now
		}
	}
	if !s.stopped.IsZero() && !s.back.IsZero() && now.Sub(s.back) >= settling {
		s.stopped = time.Time{}
	}
	if s.stopped.IsZero() {
		return now, ViewCurrent
	}
	return s.stopped, ViewOld
}

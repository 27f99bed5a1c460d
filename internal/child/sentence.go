// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// sentence is when a program is to be asked to end, and when it is killed. Both the guardian, who carries it
// out, and the replica, who does if the guardian does not, have one. It is pure: time is an argument.
type sentence struct {
	grace time.Duration // between the two, at most

	terminateAt, killAt lease.Instant

	asked  bool          // to end
	graced lease.Instant // when the grace is over, once asked
}

// extend moves the two instants. It is too late for one that has been asked to end: it is killed when its
// grace is over, however long the term is valid.
func (s *sentence) extend(terminateAt, killAt lease.Instant) {
	s.terminateAt, s.killAt = terminateAt, killAt
}

// ask notes that the program is asked to end now, or has ended by itself, which what it left behind is to do
// now, too.
func (s *sentence) ask(now lease.Instant) {
	if !s.asked {
		s.asked, s.graced = true, now.Add(s.grace)
	}
}

// due tells what is to be done now.
func (s *sentence) due(now lease.Instant) (terminate, kill bool) {
	return !s.asked && now >= s.terminateAt, now >= s.end()
}

// next is when something is to be done next.
func (s *sentence) next() lease.Instant {
	if s.asked {
		return s.end()
	}
	return min(s.terminateAt, s.killAt)
}

// end is when the program is killed.
func (s *sentence) end() lease.Instant {
	if s.asked {
		return min(s.killAt, s.graced)
	}
	return s.killAt
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

// latest holds what was said last, until somebody takes it. What was said before
// that is of no interest any more, so whoever says it never waits.
type latest chan bool

func newLatest() latest { return make(latest, 1) }

// say is called by one goroutine at a time.
func (l latest) say(yes bool) {
	select {
	case <-l: // nobody needs to know of that any more
	default:
	}
	l <- yes
}

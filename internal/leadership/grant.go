// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"sync/atomic"
	"time"
)

// grant is a term of a leadership role that programs are told of.
type grant struct {
	number uint64 // of the event that has told of it
	role   string
	term   Term
	since  time.Time

	// over is set with the first word of the term's end.
	over atomic.Bool
	// awaited: somebody waits until a program has stopped; the journal's lock guards it.
	awaited bool
	// stopped is closed when a program has said so.
	stopped chan struct{}
}

// leading tells whether a program may act on it at this instant.
func (g *grant) leading() bool { return !g.over.Load() && g.term.Remaining() > 0 }

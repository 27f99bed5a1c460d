// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errRetired ends the work of a duty that the group does not have any more, in the
// midst of a term.
var errRetired = errors.New("removed from the group, or replaced")

// service is the time for which a duty belongs to a group. It ends in two steps: once
// retired it enters no term any more and stops what it does in those that go on; it
// has ended when nothing of it runs.
type service struct {
	name string // of the duty, for people
	// before are closed when the duties have ended whose place this one takes.
	// Nothing begins earlier, or one object could be reconciled by two at a time.
	before []<-chan struct{}
	over   context.Context
	retire context.CancelFunc
	ended  chan struct{}
	// release gives back what the duty has borrowed, once.
	release func()

	mu      sync.Mutex
	stints  int
	retired time.Time // zero while the duty belongs to the group
}

func newService(name string, release func()) *service {
	s := &service{name: name, ended: make(chan struct{}), release: sync.OnceFunc(release)}
	s.over, s.retire = context.WithCancel(context.Background())
	return s
}

// end retires the duty. Its work has the grace before it is cancelled.
func (s *service) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.retired.IsZero() {
		return
	}
	s.retired = time.Now()
	s.retire()
	if s.stints == 0 {
		close(s.ended)
	}
}

// overdue tells whether the duty was retired longer ago than the patience, and still
// runs.
func (s *service) overdue(patience time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.retired.IsZero() && s.stints > 0 && time.Since(s.retired) >= patience
}

// enter counts one more term in which the duty works, unless it is retired.
func (s *service) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.retired.IsZero() {
		return false
	}
	s.stints++
	return true
}

func (s *service) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stints--; s.stints == 0 && !s.retired.IsZero() {
		close(s.ended)
	}
}

// stint is what a duty does in one term: until that ends, or the duty is retired.
type stint struct {
	*tenure
	// ctx and taking are those of the tenure, which end with the service, too.
	ctx, taking context.Context
}

// serve has lead work for the term, if the duty is not retired, and returns once
// nothing of it runs any more.
func (s *service) serve(t *tenure, grace time.Duration, lead func(*stint)) {
	if !s.enter() {
		return
	}
	defer s.leave()
	for _, ended := range s.before {
		select {
		case <-ended:
		case <-s.over.Done():
			return
		case <-t.taking.Done():
			return
		}
	}
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	taking, stop := context.WithCancelCause(t.taking)
	defer stop(nil)
	defer context.AfterFunc(s.over, func() {
		cause := fmt.Errorf("%w: %s", errRetired, s.name)
		stop(cause)
		select {
		case <-time.After(grace):
			cancel(cause)
		case <-ctx.Done():
		}
	})()
	lead(&stint{tenure: t, ctx: ctx, taking: taking})
}

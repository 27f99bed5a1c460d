// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import "sync"

// feed holds the newest state for streams to wait for.
type feed struct {
	mu      sync.Mutex
	newest  *state
	changed chan struct{} // closed when there is a newer state, or the last was there
	closed  bool
}

func newFeed(first *state) *feed { return &feed{newest: first, changed: make(chan struct{})} }

// publish makes a state the newest; nil says that there is no newer one.
func (f *feed) publish(s *state) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s == nil || f.closed {
		return
	}
	f.newest = s
	close(f.changed)
	f.changed = make(chan struct{})
}

// close says that the newest state is the last.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.changed)
	}
}

// get returns the newest state, a channel that is closed as soon as that is out of
// date, and whether it is the last one.
func (f *feed) get() (newest *state, changed <-chan struct{}, last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest, f.changed, f.closed
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import "sync"

// entries are those that somebody waits for, by the number of the [Enter].
type entries struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan<- bool // with room for the one answer
}

// wait returns the number of an entry that answers there.
func (e *entries) wait(answer chan<- bool) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting == nil {
		e.waiting = map[uint64]chan<- bool{}
	}
	e.last++
	e.waiting[e.last] = answer
	return e.last
}

func (e *entries) forget(id uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waiting, id)
}

func (e *entries) answer(of Entered) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if answer, ok := e.waiting[of.ID]; ok {
		delete(e.waiting, of.ID)
		answer <- of.OK
	}
}

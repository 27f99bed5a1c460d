// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shardctl/shardctl/pkg/lease"
)

// view is how everything stood after an event.
type view struct {
	number  uint64 // of the event
	leaders map[string]leader
	members []lease.MemberState // sorted by identity
	grants  map[string]*grant
}

// page is what a reader gets.
type page struct {
	// events are those after the reader's position, oldest first.
	events []event
	// forgotten: some of those after the position are not remembered. There are no events
	// then.
	forgotten bool
	// view, if it was asked for, is how everything stands after the events that the reader
	// has; nil if there are more of them.
	view *view
	// more is closed when there is more than on this page.
	more <-chan struct{}
	// last: nothing will follow.
	last bool
}

// look returns how everything stands.
func (j *journal) look() *view {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.takeOver()
	return j.viewNow()
}

// viewNow is look for those who have the lock.
func (j *journal) viewNow() *view {
	byIdentity := func(a, b lease.MemberState) int { return strings.Compare(a.Identity, b.Identity) }
	return &view{
		number: j.last, leaders: maps.Clone(j.leaders), grants: maps.Clone(j.grants),
		members: slices.SortedFunc(maps.Values(j.members), byIdentity),
	}
}

// read returns what comes after a position, and how everything stands if that is wanted
// and the reader has seen all there is.
func (j *journal) read(from uint64, wantView bool) page {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.takeOver()
	p := page{more: j.more, last: j.closed}
	forgotten := j.last - uint64(len(j.events))
	switch {
	case from < forgotten || from > j.last:
		p.forgotten = true
	default:
		rest := j.events[from-forgotten:]
		p.events = slices.Clone(rest[:min(len(rest), pageEvents)])
	}
	if wantView && len(p.events) == 0 {
		p.view = j.viewNow()
	}
	return p
}

// separator is between the parts of an ID: whose it is, and its number.
const separator = "-"

// id is that of an event.
func (j *journal) id(number uint64) string {
	return j.boot + separator + strconv.FormatUint(number, 10)
}

// position is where a reader is who has read the event with that ID; not if the ID is of
// another process, or none at all.
func (j *journal) position(id string) (number uint64, ok bool) {
	boot, digits, _ := strings.Cut(id, separator)
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil && boot == j.boot
}

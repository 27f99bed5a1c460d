// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"maps"
	"slices"
	"strings"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// Mirror is what a replica's watch shows of the group's Leases, for those who only
// look on: a metric, a dashboard. The election does not read it. It is safe for
// concurrent use.
type Mirror struct {
	chronicle *Chronicle

	mu      sync.Mutex
	newest  string // resourceVersion of what was shown last
	leases  map[string]*coordinationv1.Lease
	sorted  []coordinationv1.Lease // what Leases returns; nil if something has changed
	changed chan struct{}
}

// NewMirror makes one that shows nothing before a [Driver] that was given it has
// listed the group.
func NewMirror() *Mirror {
	return &Mirror{chronicle: newChronicle(), leases: map[string]*coordinationv1.Lease{}, changed: make(chan struct{})}
}

// Leases returns the group's Leases, by name, which are not to be modified; changed
// is closed as soon as the watch shows something newer.
func (m *Mirror) Leases() (leases []coordinationv1.Lease, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sorted == nil {
		m.sorted = make([]coordinationv1.Lease, 0, len(m.leases))
		for _, name := range slices.Sorted(maps.Keys(m.leases)) {
			m.sorted = append(m.sorted, *m.leases[name])
		}
	}
	return m.sorted, m.changed
}

// Chronicle tells what has become of the group, change by change.
func (m *Mirror) Chronicle() *Chronicle { return m.chronicle }

// show takes over what the events of the watch say; all others it passes by.
func (m *Mirror) show(events []Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	shown := false
	for _, ev := range events {
		switch ev := ev.(type) {
		case Listed:
			shown = m.list(ev) || shown
		case Observed:
			shown = m.observe(ev) || shown
		}
	}
	if shown {
		m.sorted = nil
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

func (m *Mirror) list(l Listed) bool {
	if !m.advance(l.ResourceVersion) {
		return false
	}
	before := maps.Clone(m.leases)
	clear(m.leases)
	for _, one := range slices.SortedFunc(slices.Values(l.Leases), byName) {
		m.leases[one.Name] = one
		delete(before, one.Name)
		m.chronicle.saw(one)
	}
	for _, gone := range slices.SortedFunc(maps.Values(before), byName) {
		m.chronicle.lost(gone)
	}
	return true
}

func (m *Mirror) observe(o Observed) bool {
	if !m.advance(o.Lease.ResourceVersion) {
		return false
	}
	if o.Deleted {
		delete(m.leases, o.Lease.Name)
		m.chronicle.lost(o.Lease)
	} else {
		m.leases[o.Lease.Name] = o.Lease
		m.chronicle.saw(o.Lease)
	}
	return true
}

func byName(a, b *coordinationv1.Lease) int { return strings.Compare(a.Name, b.Name) }

// advance tells whether a resourceVersion is not older than what was shown: a list
// of an API server that lags behind is passed by (R3).
func (m *Mirror) advance(to string) bool {
	if m.newest != "" {
		if order, err := resourceversion.CompareResourceVersion(to, m.newest); err != nil || order < 0 {
			return false
		}
	}
	m.newest = to
	return true
}

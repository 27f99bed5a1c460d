// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"maps"

	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// maxWrote bounds the resource types whose writes a term remembers.
const maxWrote = 64

// Writes are those that one term sent. The zero Writes are ready for use.
type Writes struct {
	unanswered int               // were sent, and not answered yet
	closed     bool              // no further one may be sent
	newest     map[string]string // resource type -> newest resourceVersion written
}

// Send counts a write that is about to be sent; false if it must not be,
// because all work of the term has ended.
func (w *Writes) Send() bool {
	if w.closed {
		return false
	}
	w.unanswered++
	return true
}

// Answered counts a write whose outcome is known, or never will be.
func (w *Writes) Answered() { w.unanswered-- }

// Wrote remembers the resourceVersion that a write got.
func (w *Writes) Wrote(resource, resourceVersion string) {
	if w.newest == nil {
		w.newest = map[string]string{}
	}
	if have, ok := w.newest[resource]; (ok || len(w.newest) < maxWrote) && newer(resourceVersion, have) {
		w.newest[resource] = resourceVersion
	}
}

// Newest returns, per resource type, the newest resourceVersion written: what
// the next holder has to wait for.
func (w *Writes) Newest() map[string]string { return maps.Clone(w.newest) }

// Close lets no further write be sent.
func (w *Writes) Close() { w.closed = true }

// Settled tells whether no write will be sent and none awaits its answer. One
// that was cancelled may have been carried out all the same, so the shard is not
// given away before (R13), unless that takes longer than the drain's time-out.
func (w *Writes) Settled() bool { return w.closed && w.unanswered == 0 }

// newer tells whether resourceVersion a is newer than b; an empty one is older
// than all, and what cannot be compared is not newer.
func newer(a, b string) bool {
	if b == "" {
		return a != ""
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

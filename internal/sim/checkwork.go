// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/lease"
)

// WorkCounts are what was done to objects.
type WorkCounts struct {
	Changes    int // by users
	Promotions int // terms that began to take keys
	Reconciles int
	Conflicts  int // writes that came from a cache that was behind
	Refused    int // writes that the fence did not send
	Unanswered int // terms that ended with a write whose answer never came (R13)
}

func (c *WorkCounts) add(other WorkCounts) {
	c.Changes += other.Changes
	c.Promotions += other.Promotions
	c.Reconciles += other.Reconciles
	c.Conflicts += other.Conflicts
	c.Refused += other.Refused
	c.Unanswered += other.Unanswered
}

func (c WorkCounts) String() string {
	return fmt.Sprintf("%d changes of objects, %d promotions, %d reconciles; %d writes met a newer object, %d were refused by the fence, %d drains ended without an answer",
		c.Changes, c.Promotions, c.Reconciles, c.Conflicts, c.Refused, c.Unanswered)
}

// missing says what never happened to an object.
func (c WorkCounts) missing() []string {
	var missing []string
	for _, one := range []struct {
		n    int
		what string
	}{
		{c.Changes, "a change of an object"},
		{c.Promotions, "a promotion"},
		{c.Reconciles, "a reconcile"},
		{c.Conflicts, "a write from a cache that was behind"},
		{c.Refused, "a write that the fence refused"},
		{c.Unanswered, "a drain that ended without an answer"},
	} {
		if one.n == 0 {
			missing = append(missing, one.what)
		}
	}
	return missing
}

// checkBegun says that a term begins with a cache that shows what the last
// holder wrote, unless it has waited for that long enough.
func (w *tenure) checkBegun() {
	carried := parseRV(w.held.Carried[w.c.in.of.resource])
	if waited := w.r.local().Sub(w.granted); carried > w.c.in.shown && waited < work.CarriedPatience {
		w.r.w.violatef(w.r, "work", "epoch %d begins with a cache at %d, its last holder wrote %d", w.held.Epoch, w.c.in.shown, carried)
	}
}

// checkWaits says that a term does not wait for its cache without limit.
func (w *tenure) checkWaits(waited time.Duration) {
	if waited >= work.CarriedPatience {
		w.r.w.violatef(w.r, "work", "epoch %d has waited for its cache for %s, and goes on", w.held.Epoch, waited)
	}
}

// checkStart says that a reconcile starts only within a valid term that takes
// keys, with a cache that is complete, and is the only one of its key in the
// process.
func (w *tenure) checkStart(key string) {
	world := w.r.w
	world.Checks.Work.Reconciles++
	switch {
	case !w.valid():
		world.violatef(w.r, "work", "%s is reconciled in epoch %d past its validity", key, w.held.Epoch)
	case w.stopped:
		world.violatef(w.r, "work", "%s is reconciled in epoch %d, which takes no more keys", key, w.held.Epoch)
	}
	if !w.c.in.synced {
		world.violatef(w.r, "work", "%s is reconciled in epoch %d with a cache that is not complete", key, w.held.Epoch)
	}
	for _, other := range w.c.running {
		if other.read.key == key {
			world.violatef(w.r, "work", "%s is reconciled in epoch %d while it is in epoch %d", key, w.held.Epoch, other.t.held.Epoch)
		}
	}
}

// checkSent is G2 at the instant at which a write leaves the process: its term is
// the one that the process holds, its work has not been said to have ended, and
// the validity that the machine has promised lasts. It asks nothing of what the
// fence goes by.
func (w *tenure) checkSent(o object) {
	r, t := w.r, w.held.Term
	have := r.Terms[t.Shard]
	switch {
	case w.drained:
		r.w.violatef(r, "fence", "a write of %s is sent in epoch %d, whose work was said to have ended", o.key, t.Epoch)
	case have == nil || keyOf(have.Term) != keyOf(t):
		r.w.violatef(r, "fence", "a write of %s is sent in epoch %d, which is over", o.key, t.Epoch)
	case !r.promised.cover(t, r.now()):
		r.w.violatef(r, "fence", "a write of %s is sent in epoch %d past its validity", o.key, t.Epoch)
	}
}

// cover tells whether a term of the present session may be acted on.
func (p *promises) cover(t lease.Term, now lease.Instant) bool {
	return now < p.session && (t.Mode != lease.LeaseMode || now < p.terms[t.Shard])
}

// checkDrained says that nothing of a term runs when its work is said to have
// ended, and that no write of it awaits its answer, unless for too long; the next
// holder is told of the newest.
func (w *tenure) checkDrained() {
	for _, one := range w.c.running {
		if one.t == w {
			w.r.w.violatef(w.r, "drain", "the work of epoch %d is said to have ended while %s is reconciled", w.held.Epoch, one.read.key)
		}
	}
	if carried := parseRV(w.writes.Newest()[w.c.in.of.resource]); carried != w.newest {
		w.r.w.violatef(w.r, "drain", "the work of epoch %d has written up to %d, and tells the next holder of %d", w.held.Epoch, w.newest, carried)
	}
	switch {
	case len(w.open) == 0:
	case w.overdue:
		w.r.w.Checks.Work.Unanswered++
	default:
		w.r.w.violatef(w.r, "drain", "the work of epoch %d is said to have ended while a write of %s awaits its answer", w.held.Epoch, w.open[0].by.read.key)
	}
}

// reach notes that a holder has reconciled a key as of a resourceVersion.
func (s *objects) reach(key string, rv uint64) { s.reached[key] = max(s.reached[key], rv) }

// reconciledWithin is how long after the last fault the last object is
// reconciled, with every shard held: a reconcile that ignores its context may
// keep its key for WorkReturns, caches are waited for, and failures backed off.
const reconciledWithin = 8 * time.Second

// reconciled is G4: once nothing fails any more, every object that was changed
// gets reconciled as it is now, or later. Deletions count where a finalizer
// holds the object.
func (w *World) reconciled() {
	if !w.Until(reconciledWithin, func() bool { return !w.behind() }) && w.Checks.Violation == nil {
		w.violatef(nil, "lost work", "%s after every shard is held: %s", reconciledWithin, strings.Join(w.unreconciled(), "; "))
	}
}

// behind tells whether any object has not been reconciled since it was changed,
// or is not what its user wants.
func (w *World) behind() bool {
	for _, of := range w.objects {
		for key, rv := range of.goal {
			if of.reached[key] < rv {
				return true
			}
		}
		for _, o := range of.current {
			if o.deleting || o.observed != o.generation {
				return true
			}
		}
	}
	return false
}

// unreconciled says what is behind, for people.
func (w *World) unreconciled() []string {
	var all []string
	for _, of := range w.objects {
		for _, key := range slices.Sorted(maps.Keys(of.goal)) {
			if of.reached[key] < of.goal[key] {
				all = append(all, fmt.Sprintf("%s was changed at %d, and reconciled as of %d", key, of.goal[key], of.reached[key]))
			}
		}
		for _, key := range slices.Sorted(maps.Keys(of.current)) {
			if o := of.current[key]; o.deleting || o.observed != o.generation {
				all = append(all, o.String())
			}
		}
	}
	return all
}

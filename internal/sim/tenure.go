// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/lease"
)

// tenure is one term at work: that on its shard's objects, if it has any, and
// that of a role, which knows neither keys nor writes and takes a while to end.
type tenure struct {
	r       *Replica
	c       *controller // nil: the family has no objects
	held    *Held
	id      work.Term
	granted time.Time

	queue    workqueue.TypedInterface[string]
	lanes    work.Lanes[string]
	failures map[string]int
	busy     int // workers
	writes   work.Writes
	open     []*write // sent, and not answered
	newest   uint64   // resourceVersion that a write got

	begun   bool // the list knows of it
	stopped bool // it has been told to take no more keys
	// cancelled: the contexts of its reconciles have been. over: its validity is
	// at an end, too.
	cancelled, over bool
	roleEnded       bool
	entered         []string // what it wanted on record
	duty            *duty    // nil: it is no schedule
	overdue         bool     // it has waited long enough for answers
	drained         bool
}

// promote begins the term once its cache shows what the last holder wrote, or
// it was told to stop before.
func (w *tenure) promote() {
	if w.begun {
		return
	}
	waited := w.r.local().Sub(w.granted)
	if !w.stopped && work.Promote(w.held.Carried, []work.Cache{w.c.in.state()}, waited) == work.Behind {
		w.checkWaits(waited)
		return
	}
	w.begun = true
	w.c.waiting = slices.DeleteFunc(w.c.waiting, func(other *tenure) bool { return other == w })
	if w.c.list.Begin(w.id) {
		w.c.tenures[w.id] = w
		w.checkBegun()
		w.r.w.Checks.Work.Promotions++
		w.logBegun()
		for _, key := range w.c.list.Backlog(w.id, w.r.local(), w.c.cached()) {
			w.lanes.Fill(string(key))
			w.queue.Add(string(key))
		}
		w.lanes.Filled()
		w.dispatch()
	}
}

// stop makes the term take no more keys; false if it does not already.
func (w *tenure) stop() bool {
	if w.stopped {
		return false
	}
	w.stopped = true
	if w.c != nil {
		w.c.list.Stop(w.id)
		w.r.after(0, w.promote) // what waits for its caches does not any more
		w.r.at(w.r.now().Add(drainTimeout), func() {
			w.overdue = true
			w.settle()
		})
	}
	return true
}

// cancel ends the contexts of the reconciles. Most return soon; a write under
// way is awaited even so.
func (w *tenure) cancel() {
	if w.cancelled || w.c == nil {
		return
	}
	w.cancelled = true
	for _, one := range w.c.running {
		if one.t == w && one.open == nil {
			one.interrupt()
		}
	}
}

// end stops and cancels everything at once, because the term is over: the fence
// lets nothing pass any more, and cancels what it has sent.
func (w *tenure) end() {
	w.stop()
	w.cancel()
	if w.over {
		return
	}
	w.over = true
	for _, write := range slices.Clone(w.open) {
		write.answer(lease.Unknown, 0)
	}
}

// watchValidity ends the term when its validity passes, even if nobody says so.
func (w *tenure) watchValidity() {
	w.r.at(w.held.validity.end(), func() {
		switch {
		case w.over || w.drained:
		case w.valid():
			w.watchValidity()
		default:
			w.r.endWork(w.held.Term, false)
		}
	})
}

// valid tells what the fence goes by.
func (w *tenure) valid() bool { return !w.over && w.held.validity.valid(w.r.now()) }

// endRole ends what the term does besides the objects.
func (w *tenure) endRole() {
	w.roleEnded = true
	w.settle()
}

// settle says that the work has ended once nothing of it runs and its writes
// have been answered, or will not be soon enough (R13).
func (w *tenure) settle() {
	if w.drained || !w.roleEnded {
		return
	}
	if w.c != nil {
		if !w.begun || !w.stopped || !w.c.list.Idle(w.id) {
			return
		}
		w.writes.Close()
		if !w.writes.Settled() && !w.overdue {
			return
		}
		w.checkDrained()
		delete(w.c.tenures, w.id)
	}
	w.drained = true
	delete(w.r.tenures, keyOf(w.held.Term))
	w.r.Deliver(lease.Drained{Term: w.held.Term, Wrote: w.wrote(), Ledger: w.lastWord()})
}

// wrote is what the next holder's caches have to show.
func (w *tenure) wrote() map[string]string {
	if w.c == nil {
		return w.r.w.Wrote()
	}
	return w.writes.Newest()
}

// dispatch lets idle workers take keys.
func (w *tenure) dispatch() {
	for w.begun && w.busy < workers && w.queue.Len() > 0 {
		key, _ := w.queue.Get()
		o := w.c.in.cache[key] // without a UID if it is not there
		o.key = key
		switch w.c.list.Start(w.id, named(o), work.Conditions{Valid: w.valid(), Synced: w.c.in.synced}) {
		case work.Reconcile:
			w.busy++
			w.reconcile(key)
			continue
		case work.Wait:
			w.addAfter(key, heldUpPause)
		default:
		}
		w.queue.Done(key)
	}
}

// addAfter queues a key after a while.
func (w *tenure) addAfter(key string, d time.Duration) {
	w.r.after(d, func() {
		w.queue.Add(key)
		w.dispatch()
	})
}

// returned takes in that a reconcile has, and sees to what comes next.
func (w *tenure) returned(key string, o work.Outcome) {
	w.busy--
	switch w.c.list.Finish(w.id, objectKey(key), o) {
	case work.Forget:
		delete(w.failures, key)
	case work.Retry:
		w.addAfter(key, min(minBackoff<<min(w.failures[key], 8), maxBackoff))
		w.failures[key]++
	default:
	}
	w.queue.Done(key)
	w.dispatch()
	w.settle()
}

func (w *tenure) logBegun() {
	if w.r.w.Transcript != nil {
		w.r.w.logf(w.r.Name, "works on %s in epoch %d, its cache shows %d", w.held.Shard, w.held.Epoch, w.c.in.shown)
	}
}

func (w *tenure) logReturned(one *reconcile, o work.Outcome) {
	if w.r.w.Transcript == nil {
		return
	}
	how := map[work.Outcome]string{work.Succeeded: "reconciled", work.Failed: "failed to reconcile", work.Interrupted: "was interrupted reconciling"}
	w.r.w.logf(w.r.Name, "%s %s in epoch %d as of %d", how[o], one.read.key, w.held.Epoch, one.shown)
}

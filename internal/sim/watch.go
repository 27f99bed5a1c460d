// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strconv"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Watch is the list-watch of one process: events arrive in the order of the
// history, each after a delay, and not while it is stalled. It goes on after a
// break where it broke off, or with a list that may be stale.
type Watch struct {
	// Stalled is until when nothing arrives.
	Stalled time.Duration

	r      *Replica
	chance source
	// connection counts connections: what an earlier one still had under way
	// is lost.
	connection int
	connected  bool
	listed     bool   // the first list has been handed over
	shown      uint64 // resourceVersion to go on from
	arrives    time.Duration
}

// showChange hands the newest change to every watch.
func (w *World) showChange() {
	c := w.Server.history[len(w.Server.history)-1]
	w.checkLedgerWrite(c)
	ev := c.shows()
	if ev == nil {
		return
	}
	for _, r := range w.Replicas {
		if r.Watch.connected && !r.Gone {
			r.Watch.carry(ev, c.RV)
		}
	}
}

// arrival is when what is sent to the replica now arrives: never before what
// was sent earlier.
func (wt *Watch) arrival() time.Duration {
	w := wt.r.w
	wt.arrives = max(wt.arrives, w.now+w.Faults.WatchDelay.draw(wt.chance.rng), wt.Stalled)
	return wt.arrives
}

// carry sends what a change shows.
func (wt *Watch) carry(ev lease.Event, rv uint64) {
	f := &wt.r.w.Faults
	wt.send(ev, rv)
	if wt.chance.strikes(Repeated, f.repeated) {
		wt.send(ev, rv)
	}
	if wt.chance.chance(f.bookmark) {
		wt.bookmark(rv)
	}
}

// bookmark sends that everything up to rv has been shown.
func (wt *Watch) bookmark(rv uint64) {
	wt.send(lease.Progressed{ResourceVersion: strconv.FormatUint(rv, 10)}, rv)
}

func (wt *Watch) send(ev lease.Event, rv uint64) {
	connection := wt.connection
	wt.r.w.agenda.add(wt.arrival(), func() {
		if connection == wt.connection {
			wt.shown = rv
			wt.r.Deliver(ev)
		}
	})
}

// BreakOff ends the connection; it comes back after a while, with a new list or
// from where it was.
func (wt *Watch) BreakOff(pause time.Duration, relist bool) {
	wt.connection++
	wt.connected = false
	connection := wt.connection
	wt.r.w.after(pause, func() {
		if connection == wt.connection {
			wt.connect(relist)
		}
	})
}

// retryConnect is the pause of a watch between attempts to connect.
const retryConnect = 100 * time.Millisecond

// connect lists, if it has to, and watches from there.
func (wt *Watch) connect(relist bool) {
	w := wt.r.w
	switch {
	case wt.r.Gone:
		return
	case w.now < wt.Stalled:
		wt.BreakOff(wt.Stalled-w.now+retryConnect, relist)
		return
	case relist || !wt.listed:
		wt.list()
		return
	case wt.shown < w.Server.compacted:
		w.logf(wt.r.Name, "watch: 410, lists again")
		wt.list()
		return
	}
	// It may show again what it had shown before.
	from := wt.shown
	if wt.chance.strikes(Repeated, w.Faults.repeated) {
		from = max(w.Server.compacted, from-min(from, uint64(wt.chance.rng.IntN(4))))
	}
	wt.watch(from)
}

// list reads a list, which may be some states behind but not behind what the
// replica knew when it asked (R3). It is under way for a while.
func (wt *Watch) list() {
	w := wt.r.w
	rv := wt.listedAt()
	listed := w.Server.list(rv)
	connection := wt.connection
	w.agenda.add(wt.arrival(), func() {
		switch {
		case connection != wt.connection:
		case rv < w.Server.compacted:
			wt.list() // compacted meanwhile: a watch could not go on from it
		default:
			wt.listed = true
			wt.r.Deliver(listed)
			wt.watch(rv)
		}
	})
}

// listedAt draws the resourceVersion of a list.
func (wt *Watch) listedAt() uint64 {
	w := wt.r.w
	newest := w.Server.rv
	if w.Faults.staleList == 0 {
		return newest
	}
	oldest := max(parseRV(wt.r.Election.Newest()), w.Server.compacted, newest-min(newest-1, uint64(w.Faults.staleList)))
	if rv := oldest + wt.chance.rng.Uint64N(newest-oldest+1); rv < newest && wt.chance.happens(StaleList) {
		return rv
	}
	return newest
}

func (wt *Watch) watch(from uint64) {
	wt.connected, wt.shown = true, from
	for _, c := range wt.r.w.Server.history[from:] {
		if ev := c.shows(); ev != nil {
			wt.carry(ev, c.RV)
		}
	}
}

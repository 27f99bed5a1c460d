// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"strconv"
	"time"
)

// modelWatch is the list-watch of one process: events arrive in the order of
// the history, each after a delay, and not while it is stalled. It goes on
// after a break where it broke off, or with a list that may be stale.
type modelWatch struct {
	r *modelReplica
	// connection counts connections: what an earlier one still had under way
	// is lost.
	connection int
	connected  bool
	listed     bool   // the first list has been handed over
	shown      uint64 // resourceVersion to go on from
	arrives    time.Duration
	stalled    time.Duration // until when nothing arrives
}

// showChange hands the newest change to every watch.
func (w *world) showChange() {
	for _, r := range w.replicas {
		if r.watch.connected && !r.gone {
			r.watch.carry(w.server.history[len(w.server.history)-1])
		}
	}
}

// arrival is when what is sent to the replica now arrives: never before what
// was sent earlier.
func (wt *modelWatch) arrival() time.Duration {
	w := wt.r.w
	wt.arrives = max(wt.arrives, w.now+w.faults.watchDelay.draw(w.rng), wt.stalled)
	return wt.arrives
}

// carry sends what a change shows.
func (wt *modelWatch) carry(c change) {
	ev := c.shows(modelGroup)
	if ev == nil {
		return
	}
	w := wt.r.w
	wt.send(ev, c.rv)
	if w.chance(w.faults.repeated) {
		wt.send(ev, c.rv)
	}
	if w.chance(w.faults.bookmark) {
		wt.bookmark(c.rv)
	}
}

// bookmark sends that everything up to rv has been shown.
func (wt *modelWatch) bookmark(rv uint64) {
	wt.send(Progressed{ResourceVersion: strconv.FormatUint(rv, 10)}, rv)
}

func (wt *modelWatch) send(ev Event, rv uint64) {
	connection := wt.connection
	wt.r.w.agenda.add(wt.arrival(), func() {
		if connection == wt.connection {
			wt.shown = rv
			wt.r.deliver(ev)
		}
	})
}

// breakOff ends the connection; it comes back after a while, with a new list or
// from where it was.
func (wt *modelWatch) breakOff(pause time.Duration, relist bool) {
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
func (wt *modelWatch) connect(relist bool) {
	w := wt.r.w
	switch {
	case wt.r.gone:
		return
	case w.now < wt.stalled:
		wt.breakOff(wt.stalled-w.now+retryConnect, relist)
		return
	case relist || !wt.listed:
		wt.list()
		return
	}
	// It may show again what it had shown before.
	from := wt.shown
	if w.chance(w.faults.repeated) {
		from -= min(from, uint64(w.rng.IntN(4)))
	}
	wt.watch(from)
}

// list reads a list, which may be some states behind but not behind what the
// replica knew when it asked (R3). It is under way for a while.
func (wt *modelWatch) list() {
	w := wt.r.w
	newest := parseRV(wt.r.election.Newest())
	rv := w.server.rv
	if w.faults.staleList > 0 {
		oldest := max(newest, rv-min(rv-1, uint64(w.faults.staleList)))
		rv = oldest + w.rng.Uint64N(rv-oldest+1)
	}
	listed := w.server.list(modelGroup, rv)
	connection := wt.connection
	w.agenda.add(wt.arrival(), func() {
		if connection != wt.connection {
			return
		}
		wt.listed = true
		wt.r.deliver(listed)
		wt.watch(rv)
	})
}

func (wt *modelWatch) watch(from uint64) {
	wt.connected, wt.shown = true, from
	for _, c := range wt.r.w.server.history[from:] {
		wt.carry(c)
	}
}

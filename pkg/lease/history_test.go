// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	histories = flag.Uint64("lease.histories", 1000, "how many random histories to run")
	fromSeed  = flag.Uint64("lease.from", 0, "the first seed")
	oneSeed   = flag.Uint64("lease.seed", 0, "run only the history of this seed, and print its transcript")
)

// quick are timings that make histories short. Nothing depends on their scale.
var quick = []Timings{
	{LeaseDuration: 2 * time.Second, RenewDeadline: 1200 * time.Millisecond, RenewInterval: 500 * time.Millisecond},
	{LeaseDuration: 3 * time.Second, RenewDeadline: 1700 * time.Millisecond, RenewInterval: 400 * time.Millisecond},
	{LeaseDuration: 4 * time.Second, RenewDeadline: 2 * time.Second, RenewInterval: 900 * time.Millisecond},
}

// TestHistories runs random histories: faults of all kinds for a while, under
// which nothing may be violated; then they heal, and every shard has to be held
// again in time, evenly, with nothing but heartbeats from then on.
func TestHistories(t *testing.T) {
	if *oneSeed != 0 {
		h := newHistory(*oneSeed, t.Output(), true)
		if violation := h.run(); violation != "" {
			t.Fatal(violation)
		}
		return
	}
	n := *histories
	if testing.Short() {
		n = min(n, 200)
	}
	var next atomic.Uint64
	var mu sync.Mutex
	var total summary
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				i := next.Add(1)
				if i > n {
					return
				}
				seed := *fromSeed + i
				h := newHistory(seed, nil, false)
				if violation := h.run(); violation != "" {
					t.Errorf("seed %d: %s\nreplay it with: go test ./pkg/lease -run TestHistories -lease.seed=%d", seed, violation, seed)
				}
				mu.Lock()
				total.add(h)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Log(&total)
	if !t.Failed() && n >= 200 {
		total.check(t)
	}
}

// history is one random history.
type history struct {
	w     *world
	chaos *chaos
	// unheld is how long after the repair the last shard was held again, in
	// LeaseDurations.
	unheld float64
	// grants by cause during the faults.
	granted map[Cause]int
}

func newHistory(seed uint64, transcript io.Writer, verbose bool) *history {
	w := newWorld(seed, quick[0])
	w.transcript, w.verbose = transcript, verbose
	w.config.Timings = quick[w.rng.IntN(len(quick))]
	var shards []string
	for i := range 1 + w.rng.IntN(4) {
		shards = append(shards, fmt.Sprintf("s%d", i+1))
	}
	w.setShards(shards...)
	return &history{w: w, chaos: newChaos(w)}
}

// run returns what was violated, or nothing.
func (h *history) run() string {
	w := h.w
	if w.chance(0.5) {
		w.installLayout()
	}
	for range 1 + w.rng.IntN(3) {
		w.after(span{0, h.chaos.scale}.draw(w.rng), h.chaos.join)
	}
	h.chaos.begin()
	w.run(span{2 * h.chaos.scale, 10 * h.chaos.scale}.draw(w.rng))
	h.granted = maps.Clone(w.checks.granted)
	h.chaos.heal()
	h.converge()
	h.steady()
	return w.checks.violation
}

// slowest is how much longer the machine with the slowest clock waits.
func (h *history) slowest() float64 { return 1000 / float64(h.chaos.clocks.least) }

// converge waits until every shard is held, and then until shares are even.
func (h *history) converge() {
	w := h.w
	repaired := w.now
	limit := time.Duration(2*h.slowest()*float64(h.chaos.scale)) + 6*time.Second
	if !w.until(limit, h.allHeld) && w.checks.violation == "" {
		w.violatef(w.alive()[0], "liveness: held %s after the repair: %s; %s", limit, w.holders(), w.records())
	}
	h.unheld = float64(w.now-repaired) / float64(h.chaos.scale)
	// The dead have a share until their LeaseDuration has passed.
	w.run(time.Duration(h.slowest()*float64(h.chaos.scale)) + time.Second)
	limit = 4 * (w.rules().Cooldown + w.faults.workReturns.most)
	if !w.until(limit, h.even) && w.checks.violation == "" {
		w.violatef(w.alive()[0], "balance: %s after the repair: %s", limit, w.holders())
	}
}

// rules are the configuration with its defaults.
func (w *world) rules() Config {
	c := w.config
	c.setDefaults()
	return c
}

func (w *world) records() string {
	var records []string
	for _, s := range w.config.Shards {
		records = append(records, s.Name+" "+w.server.heldBy(modelGroup, s.Name))
	}
	return strings.Join(records, ", ")
}

func (h *history) allHeld() bool {
	return !slices.ContainsFunc(h.w.config.Shards, func(s ShardSpec) bool { return h.w.holder(s.Name) == nil })
}

// even tells whether everything is held, by those that stay, the shares differ
// by one at most, and nothing is about to move.
func (h *history) even() bool {
	least, most := len(h.w.config.Shards), 0
	for _, r := range h.w.alive() {
		if r.election.leaving || slices.Contains(slices.Collect(maps.Values(r.work)), true) {
			return false
		}
		n := 0
		for _, s := range h.w.config.Shards {
			if r.holds(s.Name) {
				n++
			}
		}
		least, most = min(least, n), max(most, n)
	}
	return h.allHeld() && most-least <= 1
}

// steady checks that a group left alone sends heartbeats and nothing else.
func (h *history) steady() {
	w := h.w
	if w.checks.violation != "" {
		return
	}
	w.run(time.Second) // what became due just now is still under way
	w.forget()
	before := w.holders()
	for range 4 {
		w.run(time.Second)
		if now := w.holders(); now != before && w.checks.violation == "" {
			w.violatef(w.alive()[0], "a stable group moved: %s, then %s", before, now)
		}
	}
	if len(w.checks.granted) > 0 || w.checks.passed > 0 || w.checks.revoked > 0 {
		w.violatef(w.alive()[0], "a stable group moved: %v granted, %d passed on, %d revoked", w.checks.granted, w.checks.passed, w.checks.revoked)
	}
	for why := range w.checks.requests {
		if why != "heartbeat" && why != "bury" {
			w.violatef(w.alive()[0], "a stable group sent more than heartbeats: %v", w.checks.requests)
		}
	}
}

// summary says what a number of histories came to; histories in which nothing
// happens prove nothing.
type summary struct {
	n           int
	granted     map[Cause]int
	unheld      float64
	ticks, sent int
	virtual     time.Duration
}

func (s *summary) add(h *history) {
	s.n++
	if s.granted == nil {
		s.granted = map[Cause]int{}
	}
	for cause, n := range h.granted {
		s.granted[cause] += n
	}
	s.virtual += h.w.now
	s.unheld = max(s.unheld, h.unheld)
	for _, r := range h.w.replicas {
		s.ticks, s.sent = max(s.ticks, r.rates.most.ticks), max(s.sent, r.rates.most.requests)
	}
}

func (s *summary) String() string {
	return fmt.Sprintf("%d histories, %s of virtual time, terms by cause %v; held again %.2f LeaseDurations after the repair at the latest; at most %d ticks and %d requests of one replica in a second",
		s.n, s.virtual.Round(time.Hour), s.granted, s.unheld, s.ticks, s.sent)
}

func (s *summary) check(t *testing.T) {
	t.Helper()
	for _, cause := range []Cause{CauseVacant, CauseTransfer, CauseTakeOver, CauseReclaim} {
		if s.granted[cause] == 0 {
			t.Errorf("no history had a term gained by %s: the histories prove nothing about it", cause)
		}
	}
}

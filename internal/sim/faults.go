// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math/rand/v2"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Faults are those that strike what is done all the time, requests and events:
// how long things take, and how often they fail. The zero value is a world in
// which everything happens at once and nothing fails; see [Calm].
type Faults struct {
	Request, Reply, WatchDelay Span
	TimerSlack                 Span
	// WorkReturns is how long the work of a term takes to end once it is told
	// to.
	WorkReturns Span

	// Chances of a request: never to get there, never to be answered, to be
	// refused, to fail before or after it was carried out, to be held back for
	// long, to be sent again by a layer below.
	lost, mute                    float64
	conflict, throttled, rejected float64
	serverError, gatewayTimeout   float64
	late, twice                   float64
	lateness                      Span

	repeated     float64 // chance of a reply or an event to come twice
	bookmark     float64 // chance of a bookmark after an event
	staleList    int     // how many states a list may be behind
	pausedInStep float64 // chance of a pause between two effects
	pause        Span
}

// Calm is a group in which nothing goes wrong: requests, replies and events of
// the watch take a millisecond each.
var Calm = Faults{
	Request:     Exactly(time.Millisecond),
	Reply:       Exactly(time.Millisecond),
	WatchDelay:  Exactly(time.Millisecond),
	WorkReturns: Exactly(10 * time.Millisecond),
}

// Fate is what becomes of a request. The zero value is one that is carried out,
// and answered, at once.
type Fate struct {
	Lost    bool          // it never gets there
	Request time.Duration // until it gets there
	Mute    bool          // the reply never comes back
	Reply   time.Duration // until it does
	// Refusal is answered instead of carrying it out; OK: none.
	Refusal lease.Outcome
	// TimedOut: it is carried out, and answered with a 504.
	TimedOut bool
	// RetryAfter is the pause that a 429 asks for; 0: none.
	RetryAfter time.Duration
	// Again is how long after the first a second copy gets there, sent by a layer
	// below us that has lost the answer to the first: the second answers. 0: none.
	Again time.Duration
}

// Link is what is between a process and the API server.
type Link struct {
	// Until when requests, or the replies to them, are lost.
	CutRequests, CutReplies time.Duration
}

// drawFate decides what becomes of a request, by a source of chance.
func (l *Link) drawFate(s *source) Fate {
	w := s.w
	f := &w.Faults
	drawn := Fate{
		Lost:    w.now < l.CutRequests || s.strikes(RequestLost, f.lost),
		Mute:    w.now < l.CutReplies || s.strikes(ReplyLost, f.mute),
		Request: f.Request.draw(s.rng),
		Reply:   f.Reply.draw(s.rng),
	}
	if s.strikes(RequestHeld, f.late) {
		drawn.Request += f.lateness.draw(s.rng)
	}
	if s.strikes(ReplyHeld, f.late) {
		drawn.Reply += f.lateness.draw(s.rng)
	}
	switch {
	case s.strikes(Refused409, f.conflict):
		drawn.Refusal = lease.Conflict
	case s.strikes(Refused429, f.throttled):
		drawn.Refusal = lease.Throttled
		drawn.RetryAfter = time.Duration(s.rng.IntN(31)) * time.Second
	case s.strikes(Refused403, f.rejected):
		drawn.Refusal = lease.Rejected
	case s.strikes(Failed500, f.serverError):
		drawn.Refusal = lease.Unknown
	case s.strikes(Failed504, f.gatewayTimeout):
		drawn.TimedOut = true
	}
	return drawn
}

// source is a stream of chance of its own: each replica has some, and the chaos
// has one, so that leaving one fault out of a history changes as little as
// possible of the rest.
type source struct {
	w   *World
	id  uint32
	rng *rand.Rand
	// strike counts the faults that this stream has drawn.
	strike uint32
}

func (w *World) newSource() source {
	w.sources++
	return w.source(w.sources)
}

// newObjectSource is one for objects, and the work on them: with or without
// them, all else draws the same.
func (w *World) newObjectSource() source {
	w.objectSources++
	return w.source(1<<31 + w.objectSources)
}

func (w *World) source(id uint32) source {
	return source{w: w, id: id, rng: rand.New(rand.NewPCG(w.seed, uint64(id)))}
}

// chance tells whether something happens that is no fault.
func (s *source) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

// strikes tells whether a fault happens that does with chance p: it is counted,
// unless it was left out.
func (s *source) strikes(kind Kind, p float64) bool {
	return s.chance(p) && s.happens(kind)
}

// happens says that a fault does happen, unless it was left out.
func (s *source) happens(kind Kind) bool {
	s.strike++
	fault := Strike{Kind: kind, At: s.w.now, source: s.id, nth: s.strike}
	if !s.w.only.strikes(fault) {
		return false
	}
	s.w.Checks.Faults[kind]++
	s.w.struck = append(s.w.struck, fault)
	return true
}

// Strike is one fault that happened. Two histories of one seed draw the same
// faults from each source of chance, so its number names it in both.
type Strike struct {
	Kind Kind
	At   time.Duration // true time since the start

	source uint32
	nth    uint32
}

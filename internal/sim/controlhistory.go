// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import "time"

// RunControl runs a random history of client-go's electors: requests and replies
// are slow or lost, and one process after the other is cut off, for ten minutes.
// The clocks are all the same, or apart by less than the timings allow for.
func RunControl(seed uint64, fromSend, clocksApart bool) *Control {
	w := New(seed, ClientGo)
	s := w.newSource()
	ms := func(most int) Span { return Span{0, time.Duration(1+s.rng.IntN(most)) * time.Millisecond} }
	f := &w.Faults
	f.Request, f.Reply = ms(50), ms(50)
	f.lost, f.mute, f.late = 0.1*s.rng.Float64(), 0.1*s.rng.Float64(), 0.4*s.rng.Float64()
	f.lateness = Span{0, 5 * time.Second}
	f.conflict, f.throttled, f.serverError, f.gatewayTimeout = 0.02, 0.02, 0.02, 0.02
	slowest, fastest := int64(1000), int64(1001)
	if clocksApart {
		slowest = 800 + s.rng.Int64N(200)
		fastest = int64(float64(slowest)*ClientGo.ClockRateBound()) - 1
	}
	c := NewControl(w, fromSend)
	for _, name := range []string{"a", "b", "c"}[:2+s.rng.IntN(2)] {
		c.Start(name, Clock{Rate: slowest + s.rng.Int64N(fastest-slowest)})
	}
	w.cutElectors(c, &s)
	w.Run(10 * time.Minute)
	return c
}

// cutElectors cuts one of them off, and so on.
func (w *World) cutElectors(c *Control, s *source) {
	w.after(Span{0, time.Minute}.draw(s.rng), func() {
		e := c.Electors[s.rng.IntN(len(c.Electors))]
		until := w.now + Span{0, 40 * time.Second}.draw(s.rng)
		e.CutRequests, e.CutReplies = until, until
		w.logf(e.Name, "is cut off until %.3f s", until.Seconds())
		w.cutElectors(c, s)
	})
}

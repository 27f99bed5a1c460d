// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
)

// checks is what the model knows to be wrong, and what it counts.
type checks struct {
	violation string
	// tokens is the newest fencing token of each shard.
	tokens map[string]int64
	// granted counts terms, by cause; requests counts what was sent, by reason.
	granted  map[Cause]int
	requests map[string]int
	written  int // requests that changed something
	// passed counts shards given away by their holder, revoked counts terms
	// that ended otherwise.
	passed, revoked int
}

func newChecks() checks {
	return checks{tokens: map[string]int64{}, granted: map[Cause]int{}, requests: map[string]int{}}
}

// forget starts counting anew.
func (w *world) forget() {
	w.checks.granted, w.checks.requests = map[Cause]int{}, map[string]int{}
	w.checks.written, w.checks.passed, w.checks.revoked = 0, 0, 0
}

// violatef notes the first thing that went wrong.
func (w *world) violatef(r *modelReplica, format string, args ...any) {
	if w.checks.violation != "" {
		return
	}
	w.checks.violation = fmt.Sprintf("at %.3f s: %s: %s", w.now.Seconds(), r.name, fmt.Sprintf(format, args...))
	w.logf(r.name, "VIOLATION %s", w.checks.violation)
}

// checkExclusion is G1, by true time: no two processes may act for one shard.
func (w *world) checkExclusion() {
	holders := map[string]*modelReplica{}
	for _, r := range w.replicas {
		if r.gone || len(r.terms) == 0 || !r.election.Valid(r.clock.at(w.now)) {
			continue
		}
		for shard := range r.terms {
			if other := holders[shard]; other != nil {
				w.violatef(r, "exclusion: %s is held by %s (epoch %d), too (epoch %d)",
					shard, other.name, other.terms[shard].Epoch, r.terms[shard].Epoch)
			}
			holders[shard] = r
		}
	}
}

// checkGrant is R3 and R7: every term is above all that came before it, in this
// process and in every other.
func (w *world) checkGrant(r *modelReplica, t Term) {
	w.checks.granted[t.How]++
	if _, ok := r.terms[t.Shard]; ok {
		w.violatef(r, "%s is granted while a term of it goes on", t.Shard)
	}
	if t.Identity != r.election.Identity() && len(r.backlog) == 0 && r.election.Valid(r.clock.at(w.now)) {
		w.violatef(r, "%s is granted to %s, which is not the session", t.Shard, t.Identity)
	}
	if !r.election.Valid(r.clock.at(w.now)) {
		return // it was paused before it could act: the term is over already
	}
	if last := w.checks.tokens[t.Shard]; t.Token <= last {
		w.violatef(r, "%s is granted with token %d (epoch %d), not above %d", t.Shard, t.Token, t.Epoch, last)
	}
	w.checks.tokens[t.Shard] = max(w.checks.tokens[t.Shard], t.Token)
}

// assign is the assignment of the model. It checks what a snapshot promises:
// every member and every shard is in it once, in order.
func (w *world) assign(s Snapshot) Plan {
	for i := 1; i < len(s.Members); i++ {
		if s.Members[i-1].Identity >= s.Members[i].Identity {
			w.violatef(w.replicas[0], "snapshot: member %s before %s", s.Members[i-1].Identity, s.Members[i].Identity)
		}
	}
	for i := 1; i < len(s.Shards); i++ {
		if s.Shards[i-1].Name >= s.Shards[i].Name {
			w.violatef(w.replicas[0], "snapshot: shard %s before %s", s.Shards[i-1].Name, s.Shards[i].Name)
		}
	}
	return spread(s)
}

// checkClosed says that a term comes to an end once.
func (w *world) checkClosed(r *modelReplica, t Term) {
	if r.closed[keyOf(t)] {
		w.violatef(r, "%s epoch %d has come to an end before", t.Shard, t.Epoch)
	}
	r.closed[keyOf(t)] = true
}

// checkSend is R2 and the rule that only one request is under way on a Lease: a
// shard is not given away before the work of all its terms here has ended.
func (w *world) checkSend(r *modelReplica, op Op) {
	w.checks.requests[op.Why]++
	if _, ok := r.underway[op.Name]; ok {
		w.violatef(r, "a second request on %s", op.Name)
	}
	shard, isShard := strings.CutPrefix(op.Name, modelGroup+".")
	if op.Verb != Update || !isShard || op.Lease.Labels[LabelKind] != KindShard {
		return
	}
	if ptr.Deref(op.Lease.Spec.LeaseTransitions, 0) < 0 {
		w.violatef(r, "%s gets a negative epoch", shard)
	}
	before := w.server.history[parseRV(op.Lease.ResourceVersion)-1].after
	if r.named(op.Lease) && !r.named(before) {
		w.checkTake(r, before)
	}
	if r.named(op.Lease) || !r.named(before) {
		return
	}
	for key := range r.work {
		if key.shard == shard {
			w.violatef(r, "%s is given away before the work of epoch %d has ended", shard, key.epoch)
		}
	}
}

// checkTake is R1: a shard is taken from a session only once that session's
// record has said that it is over, or that a later one has followed it.
func (w *world) checkTake(r *modelReplica, before *coordinationv1.Lease) {
	known := DecodeShard(before)
	if !known.Session {
		return
	}
	holder, err := ParseIdentity(known.Holder)
	if err != nil {
		w.violatef(r, "takes %s from %q, which nobody can end", before.Name, known.Holder)
		return
	}
	record := MemberLeaseName(modelGroup, holder.Replica)
	over := slices.ContainsFunc(w.server.history, func(c change) bool {
		if c.after == nil || c.after.Name != record {
			return false
		}
		m := DecodeMember(c.after)
		later, err := ParseIdentity(m.Holder)
		return m.Ended == known.Holder || err == nil && later.Replica == holder.Replica && later.Incarnation > holder.Incarnation
	})
	if !over {
		w.violatef(r, "takes %s from %s without having ended its session", before.Name, known.Holder)
	}
}

// named tells whether a session of this replica is a Lease's holder.
func (r *modelReplica) named(l *coordinationv1.Lease) bool {
	holder, err := ParseIdentity(ptr.Deref(l.Spec.HolderIdentity, ""))
	return err == nil && holder.SameReplica(r.election.session.identity)
}

// checkWrite counts what was changed.
func (w *world) checkWrite(_ *modelReplica, op Op, o Outcome) {
	if o == OK && op.Verb != Get {
		w.checks.written++
	}
}

// checkLeft says that nothing is left behind by whoever leaves.
func (w *world) checkLeft(r *modelReplica) {
	if len(r.terms) > 0 && r.election.Valid(r.clock.at(w.now)) {
		w.violatef(r, "left while it holds %v", sortedKeys(r.terms))
	}
	if len(r.work) > 0 {
		w.violatef(r, "left while work goes on")
	}
}

// rates bound how busy a process may be.
type rates struct {
	ticks, requests []time.Duration // when, in the last second
	stuck           int             // Ticks one after the other at one instant
	last            time.Duration
	most            struct{ ticks, requests int }
}

const (
	maxTicksPerSecond    = 100
	maxRequestsPerSecond = 120
	maxStuckTicks        = 8
)

func (c *rates) stepped(r *modelReplica, ev Event) {
	if _, ok := ev.(Tick); !ok {
		return
	}
	now := r.w.now
	if c.stuck++; now != c.last {
		c.stuck, c.last = 0, now
	}
	c.ticks = lastSecond(c.ticks, now)
	c.most.ticks = max(c.most.ticks, len(c.ticks))
	if c.stuck > maxStuckTicks || len(c.ticks) > maxTicksPerSecond {
		r.w.violatef(r, "busy loop: %d ticks in a second, %d at one instant", len(c.ticks), c.stuck)
	}
}

func (c *rates) sent(r *modelReplica, op Op) {
	c.requests = lastSecond(c.requests, r.w.now)
	c.most.requests = max(c.most.requests, len(c.requests))
	if len(c.requests) > maxRequestsPerSecond+4*len(r.w.config.Shards) {
		r.w.violatef(r, "busy loop: %d requests in a second, now %s %s (%s)", len(c.requests), op.Verb, op.Name, op.Why)
	}
}

func lastSecond(at []time.Duration, now time.Duration) []time.Duration {
	i := slices.IndexFunc(at, func(t time.Duration) bool { return t > now-time.Second })
	if i < 0 {
		return append(at[:0], now)
	}
	return append(at[i:], now)
}

// logEffect is an effect as a line of the transcript.
func (w *world) logEffect(r *modelReplica, effect Effect) {
	if w.transcript == nil {
		return
	}
	switch e := effect.(type) {
	case Send:
		w.logf(r.name, "-> %s %s (%s)", e.Op.Verb, e.Op.Name, e.Op.Why)
	case Granted:
		w.logf(r.name, "granted %s at epoch %d (%s)", e.Term.Shard, e.Term.Epoch, e.Term.How)
	case Revoked:
		how := "revoked"
		if e.Graceful {
			how = "asked to end"
		}
		w.logf(r.name, "%s %s at epoch %d (%s)", how, e.Term.Shard, e.Term.Epoch, e.Cause)
	case Passed:
		to := e.Successor
		if to == "" {
			to = "nobody"
		}
		w.logf(r.name, "passed %s at epoch %d to %s (%s)", e.Term.Shard, e.Term.Epoch, to, e.Cause)
	case Extended:
		if w.verbose {
			w.logf(r.name, "valid until %.3f s", r.clock.when(e.Until).Seconds())
		}
	case Began:
		w.logf(r.name, "goes on as %s", e.Identity)
	case Ended:
		w.logf(r.name, "ended the session of %s", e.Identity)
	case Refused:
		w.logf(r.name, "refused: %s %s (%s)", e.Op.Verb, e.Op.Name, e.Op.Why)
	case Left:
		w.logf(r.name, "left")
	}
}

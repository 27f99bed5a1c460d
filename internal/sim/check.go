// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// Checks is what was found wrong, and what was counted.
type Checks struct {
	// Violation is the first thing that was wrong, or nil.
	Violation *Violation
	// Granted counts terms, by cause; Requests counts what was sent, by reason.
	Granted  map[lease.Cause]int
	Requests map[string]int
	Written  int // requests that changed something
	// Passed counts shards given away by their holder, Revoked counts terms
	// that ended otherwise.
	Passed, Revoked int
	// Faults counts those that happened.
	Faults [kinds]int
	// Overlaps counts how often two held one shard while the clocks were
	// further apart than is allowed for.
	Overlaps int
	// Work counts what was done to objects, Ledger what was done to ledgers.
	Work   WorkCounts
	Ledger LedgerCounts

	// beyond: the clocks are further apart than the bound (R8), so that two
	// holders are counted, and are no violation.
	beyond bool
	// tokens are the newest fencing tokens of each family, by the bucket.
	tokens map[string][]token
	// wrote is what the work of terms had written that were passed on.
	wrote map[termKey]map[string]string
	// books are what must be true of the ledger of each shard, awaited the entries that
	// have not been answered, by their numbers.
	books   map[string]*book
	awaited map[uint64]awaited
}

// token is the newest fencing token of a bucket.
type token struct {
	bucket lease.Bucket
	token  int64
}

// Violation is something that must never be.
type Violation struct {
	// Kind says in a word what was violated, as in "exclusion".
	Kind string
	At   time.Duration
	Who  string
	What string
}

func (v *Violation) String() string {
	return fmt.Sprintf("at %.3f s: %s: %s: %s", v.At.Seconds(), v.Who, v.Kind, v.What)
}

func newChecks() Checks {
	return Checks{
		tokens: map[string][]token{}, wrote: map[termKey]map[string]string{},
		books: map[string]*book{}, awaited: map[uint64]awaited{},
		Granted: map[lease.Cause]int{}, Requests: map[string]int{},
	}
}

// Forget starts counting requests and terms anew.
func (w *World) Forget() {
	w.Checks.Granted, w.Checks.Requests = map[lease.Cause]int{}, map[string]int{}
	w.Checks.Written, w.Checks.Passed, w.Checks.Revoked = 0, 0, 0
}

// violatef notes the first thing that went wrong; r may be nil.
func (w *World) violatef(r *Replica, kind, format string, args ...any) {
	if w.Checks.Violation != nil {
		return
	}
	who := "*"
	if r != nil {
		who = r.Name
	}
	w.Checks.Violation = &Violation{Kind: kind, At: w.now, Who: who, What: fmt.Sprintf(format, args...)}
	w.logf(who, "VIOLATION: %s: %s", kind, w.Checks.Violation.What)
}

// checkExclusion is G1, by true time: no two processes may act for one shard.
func (w *World) checkExclusion() {
	for i, r := range w.Replicas {
		if r.Gone || len(r.Terms) == 0 {
			continue
		}
		for name, held := range r.Terms {
			if held.validity.valid(r.now()) {
				w.checkAlone(r, held, name, w.Replicas[i+1:])
				w.checkApart(r, held, w.Replicas[i:])
			}
		}
	}
}

func (w *World) checkAlone(r *Replica, held *Held, name string, others []*Replica) {
	for _, other := range others {
		if !other.Holds(name) {
			continue
		}
		if w.Checks.beyond {
			w.overlap(r, other, name)
			continue
		}
		w.violatef(other, "exclusion", "%s is held at epoch %d while %s holds it at epoch %d",
			name, other.Terms[name].Epoch, r.Name, held.Epoch)
	}
}

// checkApart is G1 for the keys of a family that is divided: no two terms, of one
// process or two, may be of buckets that have a key in common.
func (w *World) checkApart(r *Replica, held *Held, others []*Replica) {
	for _, other := range others {
		for name, theirs := range other.Terms {
			if theirs.Family != held.Family || name == held.Shard || !theirs.Bucket.Overlaps(held.Bucket) || !other.Holds(name) {
				continue
			}
			if !w.Checks.beyond {
				w.violatef(other, "exclusion", "%s %v is held at epoch %d while %s holds %s %v at epoch %d",
					name, theirs.Bucket, theirs.Epoch, r.Name, held.Shard, held.Bucket, held.Epoch)
			}
		}
	}
}

// overlap counts two holders once per pair of terms, where the clocks allow it.
func (w *World) overlap(r, other *Replica, name string) {
	a, b := r.Terms[name], other.Terms[name]
	if a.overlapped && b.overlapped {
		return
	}
	a.overlapped, b.overlapped = true, true
	w.Checks.Overlaps++
	w.logf("*", "%s is held by %s and %s: their clocks are too far apart", name, r.Name, other.Name)
}

// checkExtended says that a validity is moved into the future, and only by
// whoever may.
func (w *World) checkExtended(r *Replica, e lease.Extended) {
	if e.Until > r.now().Add(r.Config.Timings.RenewDeadline) {
		w.violatef(r, "validity", "extended by more than the RenewDeadline")
	}
}

// checkGranted says that a term rests on the session as it is.
func (w *World) checkGranted(r *Replica, t lease.Term) {
	w.Checks.Granted[t.How]++
	if _, ok := r.Terms[t.Shard]; ok {
		w.violatef(r, "order", "%s is granted while a term of it goes on", t.Shard)
	}
	if t.Identity != r.Identity {
		w.violatef(r, "order", "%s is granted to %s, which is not the session", t.Shard, t.Identity)
	}
}

// checkToken is R3 and R7: every term is above all that came before it, in this
// process and in every other. One that was over before the process could act
// does not count.
func (w *World) checkToken(r *Replica, t lease.Term) {
	if !r.Holds(t.Shard) || w.Checks.beyond {
		return
	}
	last := w.Checks.tokens[t.Family]
	i := slices.IndexFunc(last, func(before token) bool { return before.bucket == t.Bucket })
	for _, before := range last {
		if before.bucket.Overlaps(t.Bucket) && t.Token <= before.token && (before.bucket == t.Bucket || !w.recordTouched()) {
			w.violatef(r, "token", "%s is granted with token %d (epoch %d), not above %d of %v", t.Shard, t.Token, t.Epoch, before.token, before.bucket)
		}
	}
	if i < 0 {
		last = append(last, token{bucket: t.Bucket})
		i = len(last) - 1
	}
	last[i].token = t.Token
	w.Checks.tokens[t.Family] = last
}

// recordTouched tells whether the layout record was deleted or restored by hand. What
// replicas remember of it and of Leases that are gone as well dies with them: then
// fencing tokens rise for each bucket, and not from one layout to the next (R7).
func (w *World) recordTouched() bool {
	return slices.ContainsFunc(w.Server.history, func(c Change) bool {
		return c.Before != nil && c.After == nil && c.Before.Name == lease.LayoutLeaseName(Group)
	})
}

// checkCarried says that whoever is handed a shard is told of all that its last
// holder had written.
func (w *World) checkCarried(r *Replica, t lease.Term) {
	if t.How != lease.CauseTransfer {
		return
	}
	last := keyOf(t)
	last.epoch--
	for resource, wrote := range w.Checks.wrote[last] {
		if told := t.Carried[resource]; parseRV(told) < parseRV(wrote) {
			w.violatef(r, "carried", "%s is handed over at epoch %d with %s at %q, its last holder wrote %s", t.Shard, t.Epoch, resource, told, wrote)
		}
	}
}

// assign is the assignment that ships. It checks what a snapshot promises:
// every member and every shard is in it once, in order.
func (w *World) assign(s lease.Snapshot) lease.Plan {
	for i := 1; i < len(s.Members); i++ {
		if s.Members[i-1].Identity >= s.Members[i].Identity {
			w.violatef(nil, "snapshot", "member %s before %s", s.Members[i-1].Identity, s.Members[i].Identity)
		}
	}
	for i := 1; i < len(s.Shards); i++ {
		if s.Shards[i-1].Name >= s.Shards[i].Name {
			w.violatef(nil, "snapshot", "shard %s before %s", s.Shards[i-1].Name, s.Shards[i].Name)
		}
	}
	plan := shard.Assign(s)
	w.toMove = 0
	for _, one := range s.Shards {
		if plan[one.Name] != one.Holder {
			w.toMove++
		}
	}
	return plan
}

// checkClosed says that a term comes to an end once.
func (w *World) checkClosed(r *Replica, t lease.Term) {
	if r.closed[keyOf(t)] {
		w.violatef(r, "order", "%s epoch %d has come to an end before", t.Shard, t.Epoch)
	}
	r.closed[keyOf(t)] = true
}

func (w *World) checkPassed(r *Replica, p lease.Passed) {
	w.Checks.Passed++
	w.Checks.wrote[keyOf(p.Term)] = r.wrote[keyOf(p.Term)]
	if _, ok := r.Terms[p.Term.Shard]; ok {
		w.violatef(r, "order", "%s is passed on while its term goes on", p.Term.Shard)
	}
}

// checkGives looks at whom a holder wants to give a shard to: nobody of an older
// revision, as long as the holder itself is ready, and nobody whom its own view
// can only have shown as not ready, or as one that declines. A holder that may decide has a view no older
// than its RenewDeadline (R6a).
func (w *World) checkGives(r *Replica, effect lease.Effect) {
	e, ok := effect.(lease.Revoked)
	if !ok || !e.Graceful || e.Successor == "" {
		return
	}
	view := w.now - r.Clock.true(r.Config.Timings.RenewDeadline)
	if !w.Server.takesSince(e.Successor, e.Term.Family, view) {
		w.violatef(r, "successor", "%s is to be given to %s, which is not ready, or declines it", e.Term.Shard, e.Successor)
	}
	for _, other := range w.Replicas {
		if e.Cause == lease.CauseBalance && r.ready && recordOf(e.Successor) == lease.MemberLeaseName(Group, other.Process) &&
			other.Config.Revision < r.Config.Revision {
			w.violatef(r, "successor", "%s of revision %d is to be given to %s of revision %d",
				e.Term.Shard, r.Config.Revision, other.Name, other.Config.Revision)
		}
	}
}

// checkSend is R2 and the rule that only one request is under way on a Lease: a
// shard is not given away before the work of all its terms here has ended. No
// update goes without the resourceVersion that it was derived from (R9).
func (w *World) checkSend(r *Replica, op lease.Op) {
	w.Checks.Requests[op.Why]++
	if _, ok := r.underway[op.Name]; ok {
		w.violatef(r, "order", "a second request on %s", op.Name)
	}
	if op.Verb == lease.Update && op.Lease.ResourceVersion == "" {
		w.violatef(r, "compare-and-swap", "%s of %s is an update without a resourceVersion", op.Why, op.Name)
	}
	name, ours := strings.CutPrefix(op.Name, Group+".")
	if op.Verb != lease.Update || !ours || op.Lease.Labels[lease.LabelKind] != lease.KindShard {
		return
	}
	if ptr.Deref(op.Lease.Spec.LeaseTransitions, 0) < 0 {
		w.violatef(r, "epoch", "%s gets a negative epoch", name)
	}
	before := w.Server.read(op)
	after, was := r.named(op.Lease), r.named(before)
	switch {
	case after && !was:
		w.checkTake(r, before)
	case was && !after:
		w.checkGiven(r, name)
	}
}

// read is the Lease that a write was derived from; nil if it cannot be told.
func (s *Server) read(op lease.Op) *coordinationv1.Lease {
	rv := parseRV(op.Lease.ResourceVersion)
	if rv == 0 || rv > uint64(len(s.history)) {
		return s.leases[op.Name]
	}
	return s.history[rv-1].After
}

// checkGiven says that the work has ended when a shard is given away.
func (w *World) checkGiven(r *Replica, name string) {
	for key := range r.Work {
		if key.shard == name {
			w.violatef(r, "hand-over", "%s is given away before the work of epoch %d has ended", name, key.epoch)
		}
	}
}

// checkTake is R1: a shard is taken from a session only once that session's
// record has said that it is over, or that a later one has followed it.
func (w *World) checkTake(r *Replica, before *coordinationv1.Lease) {
	if before == nil {
		return
	}
	known := lease.DecodeShard(before)
	if !known.Session {
		return
	}
	holder, err := lease.ParseIdentity(known.Holder)
	switch {
	case err != nil:
		w.violatef(r, "take-over", "takes %s from %q, which nobody can end", before.Name, known.Holder)
	case !w.Server.sessions.over(holder):
		w.violatef(r, "take-over", "takes %s from %s without having ended its session", before.Name, known.Holder)
	}
}

// named tells whether a session of this replica is a Lease's holder.
func (r *Replica) named(l *coordinationv1.Lease) bool {
	if l == nil {
		return false
	}
	holder, err := lease.ParseIdentity(ptr.Deref(l.Spec.HolderIdentity, ""))
	return err == nil && holder.SameReplica(lease.Identity{Replica: r.Process})
}

// checkWritten counts what was changed, and says that every change of holder
// that is committed raises the epoch, and that nobody takes back that its session
// was ended (R1).
func (w *World) checkWritten(r *Replica, op lease.Op, before *coordinationv1.Lease, reply lease.Replied) {
	if reply.Outcome != lease.OK || op.Verb == lease.Get {
		return
	}
	w.Checks.Written++
	after := reply.Lease
	if op.Verb != lease.Update || before == nil {
		return
	}
	if op.Name == lease.MemberLeaseName(Group, r.Process) {
		w.checkStaysEnded(r, lease.DecodeMember(before), lease.DecodeMember(after))
	}
	if after.Labels[lease.LabelKind] != lease.KindShard {
		return
	}
	holder := ptr.Deref(after.Spec.HolderIdentity, "")
	was, is := ptr.Deref(before.Spec.LeaseTransitions, 0), ptr.Deref(after.Spec.LeaseTransitions, 0)
	if holder != "" && holder != ptr.Deref(before.Spec.HolderIdentity, "") && is <= was && was < math.MaxInt32 {
		w.violatef(r, "epoch", "%s changes hands at epoch %d, after epoch %d", after.Name, is, was)
	}
}

func (w *World) checkStaysEnded(r *Replica, was, is lease.Member) {
	if was.Holder == is.Holder && was.Ended == was.Holder && is.Ended != is.Holder {
		w.violatef(r, "session", "%s was ended, and goes on", is.Holder)
	}
}

// checkLeft says that nothing is left behind by whoever leaves.
func (w *World) checkLeft(r *Replica) {
	for name := range r.Terms {
		if r.Holds(name) {
			w.violatef(r, "leaving", "left while it holds %v", slices.Sorted(maps.Keys(r.Terms)))
		}
	}
	if len(r.Work) > 0 {
		w.violatef(r, "leaving", "left while work goes on")
	}
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
)

// claim is the replica's relation to one shard.
//
//	idle ──grant──> held ──revoke, gracefully──> draining ──Drained──> idle
//	                  └──────────revoke───────────────┴──────────────> idle
//
// A term begins only when a record that names this very session is known
// (granted), and is over for good (ended) as soon as a write that gives the
// shard away is sent (R2), or when it is revoked.
type claim struct {
	shard  string
	family string
	lease  string // name of its Lease
	phase  phase
	term   Term    // while held or draining
	since  Instant // when the term began
	// ended is the newest term that is over here: no term up to it ever
	// begins again (R3).
	ended endedTerm
	// working counts revoked terms whose work has not returned yet.
	working int
	// lastEpoch is that of the Lease as it was last known.
	lastEpoch int32

	renewal // of the term, in lease mode
	ledger  // of the term

	cause     Cause // why it is draining
	successor string
	asked     Instant // when its work was asked to end, or that write was sent
	giving    bool    // the write that gives it away is under way
	drained   bool    // the work of the draining term has ended
	carried   map[string]string

	// labelled is the resourceVersion at which its Lease was known to have all labels.
	labelled uint64
	// relabelAt is when it may be labelled again.
	relabelAt Instant
	// vacant is when the shard was first seen free to take; zero while it is
	// not.
	vacant Instant
}

type phase int

const (
	idle phase = iota
	held
	draining
)

type endedTerm struct {
	uid   types.UID
	epoch int32
}

// shardEntry is what is known of the Lease of a shard that is, or was, served.
func (e *Election) shardEntry(shard string) *entry {
	return e.view.leases[e.claims[shard].lease]
}

// actClaim does what is due for one shard.
func (e *Election) actClaim(c *claim, plan Plan) {
	known := e.view.leases[c.lease]
	if known != nil {
		c.lastEpoch = known.shard.Epoch
		if known.shard.Holder == "" && known.shard.Sealed > 0 {
			c.lastEpoch = 0 // the next Lease of that name is as good as the first: nobody has a term of this one
		}
	}
	if c.phase != idle {
		e.actTerm(c, known, plan)
	}
	if c.phase == idle {
		e.actIdle(c, known, plan)
	}
}

// actTerm looks after a term that is held or draining.
func (e *Election) actTerm(c *claim, known *entry, plan Plan) {
	switch {
	case known == nil || known.shard.UID != c.term.UID:
		c.revoke(e, CauseDeleted)
		return
	case known.shard.Holder != c.term.Identity || known.shard.mode() != c.term.Mode || known.shard.Epoch != c.term.Epoch:
		c.revoke(e, CauseTaken)
		return
	}
	e.confirmTerm(c, known)
	e.confirmEntry(c, known)
	if c.phase == held {
		if cause, successor := e.reasonToGive(c, known, plan); cause != "" && e.mayDrain(c, cause) {
			c.phase, c.cause, c.successor, c.asked = draining, cause, successor, e.now
			e.handing++
			e.emit(Revoked{Term: c.term, Cause: cause, Graceful: true, Successor: successor})
		}
	}
	// The work of an earlier term may still go on, past its validity: the
	// next holder must not start beside that either.
	if c.phase == draining && c.drained && c.working == 0 {
		if e.free(known.lease.Name) {
			e.pass(c, known, plan)
		}
		return
	}
	if c.phase == held && c.labelled != known.rv && e.relabel(c, known) {
		return
	}
	if e.writeEntry(c, known) {
		return
	}
	e.renewTerm(c, known)
}

const (
	// minHandOffs is how many shards are handed over at a time, or one in
	// handOffShare where that is more. All others are worked for meanwhile: with
	// 50 at once, each would be without a holder for as long as all 50 writes take.
	minHandOffs  = 8
	handOffShare = 16
	// handOffPatience is how long one counts whose work, or write, takes longer, so
	// that slow ones do not add up.
	handOffPatience = 200 * time.Millisecond
)

// mayDrain tells whether one more shard may be handed over now.
func (e *Election) mayDrain(c *claim, cause Cause) bool {
	if cause == CauseLayout && e.heirsAwaitAll(c) {
		return true
	}
	return e.handing < max(minHandOffs, len(e.order)/handOffShare)
}

// heirsAwaitAll tells whether what takes the place of a shard has to wait for all
// others of its family, too: then there is no use in waves.
func (e *Election) heirsAwaitAll(c *claim) bool {
	l := e.layouts[c.family]
	return l.Buckets == 0 || slices.ContainsFunc(l.From, func(old Partitioning) bool { return old.Buckets == 0 || old.By != l.By })
}

// countHandOffs counts those under way.
func (e *Election) countHandOffs() {
	e.handing = 0
	for _, c := range e.order {
		patient := c.asked.Add(handOffPatience)
		if (c.giving || c.phase == draining) && e.now < patient {
			e.handing++
			e.wakeAt(patient)
		}
	}
}

// reasonToGive says why a held shard should be given away, and to whom.
func (e *Election) reasonToGive(c *claim, known *entry, plan Plan) (Cause, string) {
	want := plan[c.shard]
	switch p := e.parts[c.shard]; {
	case p == nil || p.use == coming:
		return CauseRemoved, want
	case e.retires(c.shard, known) && e.taken(c.family):
		return CauseLayout, ""
	case e.leaving && !e.knownToLeave():
		return "", ""
	case e.leaving:
		// The first plan for all that this replica leaves is the one to carry out,
		// not one made anew for each wave.
		if c.successor == "" || !e.candidate(c.successor, c.family) {
			c.successor = want
		}
		return CauseLeaving, c.successor
	case e.declines(c.family):
		if want == c.term.Identity {
			want = "" // the plan is of before
		}
		return e.report.Declines[c.family], want
	case want == "" || want == c.term.Identity:
		return "", ""
	}
	cause := e.reasonToMove(known, want)
	if cause == CauseBalance && e.report.Busy[c.family] {
		return "", ""
	}
	if until := c.since.Add(e.cfg.Cooldown); cause == CauseBalance && e.now < until {
		e.wakeAt(until)
		return "", ""
	}
	return cause, want
}

// declines tells whether this replica takes no shard of the family now.
func (e *Election) declines(family string) bool { return e.report.Declines[family] != "" }

// taken tells whether some live member takes shards of the family. Otherwise the
// present layout goes on: nobody would claim what takes its place.
func (e *Election) taken(family string) bool {
	return slices.ContainsFunc(e.members, func(m Candidate) bool { return m.Takes(family) })
}

// reasonToMove says why the plan gives a held shard to another member.
func (e *Election) reasonToMove(known *entry, want string) Cause {
	switch pod := e.view.who(want).Pod; {
	case e.cordoned():
		return CauseDrained
	case pod != "" && known.shard.Pinned == pod:
		return CausePinned
	case !e.report.Ready:
		return CauseUnready
	}
	return CauseBalance
}

// pass gives the shard of a drained term away: to its successor, or to nobody.
// From here on the term is over, whatever becomes of the request (R2).
func (e *Election) pass(c *claim, known *entry, plan Plan) {
	successor := c.successor
	switch {
	case e.retires(c.shard, known):
		successor = ""
	case !e.candidate(successor, c.family):
		successor = plan[c.shard] // the one that was chosen has gone meanwhile
	}
	term, cause := c.term, c.cause
	e.dropEntry(c)
	c.close()
	e.emit(Passed{Term: term, Cause: cause, Successor: successor})
	e.give(c, known, successor)
}

// give writes the next holder into a Lease that names this session, and whose
// term is over: another session, this one again, or nobody.
func (e *Election) give(c *claim, known *entry, successor string) {
	var op Op
	switch {
	case e.retires(c.shard, known):
		successor = ""
		op = e.sealOp(c, known, StampRelease)
	case successor == "" || successor != e.Identity() && e.modeOf(successor) == LeaseMode:
		op = e.releaseOp(c, known, successor)
	default:
		op = e.holderOp(c, known, successor, "hand over")
		op.Stamp = StampGive
	}
	c.giving, c.asked = true, e.now
	e.send(op, func(r Replied) {
		c.giving = false
		if successor == e.Identity() && r.Outcome == OK {
			e.claimed(c)
		}
	})
}

// claimed looks at what came of an own claim that was carried out. If it grants
// nothing, because somebody on the way strips annotations for instance, the next
// one must not follow at the speed of the network.
func (e *Election) claimed(c *claim) {
	if known := e.view.leases[c.lease]; known != nil && !e.grantable(c, known) {
		e.backOff(c.lease, Replied{Outcome: Rejected})
	}
}

// revoke ends the term at once, if there is one.
func (c *claim) revoke(e *Election, cause Cause) {
	if c.phase == idle {
		return
	}
	term := c.term
	returned := c.drained
	e.dropEntry(c)
	c.close()
	switch {
	case !returned:
		c.working++
		e.emit(Revoked{Term: term, Cause: cause})
	case term.Mode == LeaseMode:
		e.emit(Extended{Shard: c.shard}) // nobody works for it, but the next term has a validity of its own
	}
}

// close makes the term one that is over.
func (c *claim) close() {
	c.ended = endedTerm{uid: c.term.UID, epoch: c.term.Epoch}
	c.phase, c.drained, c.term, c.vacant, c.successor = idle, false, Term{}, 0, ""
	c.until, c.next = 0, 0
}

// drained takes in that the work of a revoked term has returned. What it wrote is
// for the next holder to know, whether its term has lapsed meanwhile or not.
func (e *Election) drained(ev Drained) {
	t := ev.Term
	c := e.claims[t.Shard]
	switch {
	case c == nil:
	case c.phase != idle && c.term.UID == t.UID && c.term.Epoch == t.Epoch:
		c.drained = true
		c.carried = newest(c.carried, ev.Wrote)
		c.leave(t, ev.Ledger)
		if c.phase == held {
			// The work saw the end of the validity just before that was
			// extended after all: nobody works for this term any more.
			c.phase, c.cause, c.successor = draining, CauseLapsed, ""
		}
	case c.working > 0:
		c.working--
		c.carried = newest(c.carried, ev.Wrote)
		c.leave(t, ev.Ledger)
	}
}

// actIdle looks after a shard that this replica has no term of.
func (e *Election) actIdle(c *claim, known *entry, plan Plan) {
	p := e.parts[c.shard]
	if !e.session.valid(e.now) {
		return
	}
	if known != nil && e.grantable(c, known) && !e.declines(c.family) {
		e.grant(c, known) // the watch may show it before the reply comes
		return
	}
	if !e.free(c.lease) {
		return
	}
	if known == nil {
		if p != nil && e.myTurn(c, plan) {
			e.send(e.createShardOp(c), nil)
		}
		return
	}
	switch {
	case !known.shown:
		e.adopt(known)
	case known.shard.Epoch == math.MaxInt32:
		// No later term can be told from this one: the Lease has to be deleted.
	case e.remind(c, known):
	case known.shard.Holder == e.Identity() && known.shard.Claimed:
		e.goOn(c, known, plan)
	case e.view.settled(known) && p != nil && !e.leaving:
		e.actVacant(c, known, p, plan)
	}
}

// actVacant looks after a shard that may be without a holder.
func (e *Election) actVacant(c *claim, known *entry, p *part, plan Plan) {
	switch {
	case e.claimable(c.shard, known) && !e.outdated(p, known):
	case c.working > 0:
		return // what gives the shard to others has to wait for that
	case known.shard.Holder == "" && e.outdated(p, known):
		if !e.needed(known) && e.myTurn(c, plan) {
			e.send(Op{Verb: Delete, Name: c.lease, Lease: known.lease, Why: "make anew"}, nil)
		}
		return
	case !e.retires(c.shard, known) && (p.use == inUse || known.shard.Holder == ""):
		c.vacant = 0 // it is sealed, or what it overlaps is not yet
		return
	}
	if !e.vacancy(c, known) {
		return
	}
	if s := known.shard; s.Session && s.Closed == s.Holder {
		c.vacant = max(c.vacant, known.closed.Add(closedFor)) // the others have their turns after that
	}
	if e.myTurn(c, plan) && (e.retires(c.shard, known) || !e.contested(c.shard)) {
		e.takeOver(c, known)
	}
}

// grantable tells whether the record names this very session at an epoch above
// all that are over here: a transfer received, or a claim that succeeded.
func (e *Election) grantable(c *claim, known *entry) bool {
	s := known.shard
	ended := c.ended.uid == s.UID && s.Epoch <= c.ended.epoch
	return known.shown && s.Holder == e.Identity() && s.Claimed && s.Epoch < math.MaxInt32 && !ended &&
		(s.Session || e.renewedUntil(c, s.Attempt) > e.now)
}

// goOn looks after a shard whose record still names this session although its
// term is over.
func (e *Election) goOn(c *claim, known *entry, plan Plan) {
	if !e.view.settled(known) {
		return
	}
	successor := plan[c.shard]
	if !e.leaving && successor == "" && e.claimable(c.shard, known) && !e.declines(c.family) {
		successor = e.Identity()
	}
	if (successor != e.Identity() || e.retires(c.shard, known)) && c.working > 0 {
		return // not before all work of the terms that are over has ended
	}
	e.give(c, known, successor)
}

// grant starts a term.
func (e *Election) grant(c *claim, known *entry) {
	c.phase, c.since, c.drained, c.vacant = held, e.now, false, 0
	c.term = Term{
		Shard:    c.shard,
		Family:   c.family,
		Bucket:   e.bucketOf(c.shard, known),
		Identity: e.Identity(),
		UID:      known.shard.UID,
		Epoch:    known.shard.Epoch,
		Token:    known.shard.Token(),
		Carried:  known.shard.Carried,
		How:      Cause(known.lease.Annotations[annotationHow]),
		Mode:     known.shard.mode(),
		Load:     known.shard.Load,
		Left:     known.shard.Left,
		From:     known.before(),
		Ledger:   known.shard.Ledger,
	}
	if c.term.Mode == LeaseMode {
		e.extendTerm(c, known.shard.Attempt) // first, for nothing may start without a validity
	}
	e.emit(Granted{Term: c.term})
	// What came while nobody looked may already speak against it.
	e.actTerm(c, known, nil)
}

// before is the session whose term came right before the one that the record names, if
// that was seen.
func (known *entry) before() string {
	if known.from.epoch != known.shard.Epoch-1 {
		return ""
	}
	return known.from.holder
}

// bucketOf is which part of its family the holder of a Lease works on: by the
// partition that the Lease was claimed by, whatever the record says by now.
func (e *Election) bucketOf(shard string, known *entry) Bucket {
	_, b := ParseShardName(shard)
	if b.Of > 0 {
		b.By = cmp.Or(known.shard.Partition, ByUID)
	}
	return b
}

// vacancy tells whether the shard may be taken from whoever its record names,
// as far as waiting goes; it remembers since when.
func (e *Election) vacancy(c *claim, known *entry) bool {
	vacant := false
	s := known.shard
	switch {
	case !e.recorded(c.shard): // actLayout does so first
	case s.Holder == "":
		vacant = e.entitled(c.shard, known)
	case s.Session:
		vacant = e.over(s.Holder) || e.expired(s.Holder, s.Duration)
	default: // the standard rules (R14)
		duration := cmp.Or(s.Duration, e.cfg.Timings.LeaseDuration)
		due := max(known.changed, e.session.since).Add(duration)
		// What names this very session without a term of it came about by hand.
		vacant = e.entitled(c.shard, known) && (s.Holder == e.Identity() || e.over(s.Holder) || e.knownDead(s.Holder) || e.confirmedAt(due))
	}
	switch {
	case !vacant:
		c.vacant = 0
	case c.vacant == 0:
		c.vacant = e.now
	}
	return vacant
}

// entitled tells whether this very Lease may have a holder yet (R6b). One that
// has been claimed before may: its first claim waited. A new one may be the
// successor of a deleted Lease whose holder does not know yet, unless the layout
// record shows that there never was another.
func (e *Election) entitled(shard string, known *entry) bool {
	if known.shard.Claimed || e.layout().layout.Shards[shard].FirstUID == known.shard.UID {
		return true
	}
	due := known.appeared.Add(max(e.view.longest, e.cfg.Timings.LeaseDuration))
	if e.now < due {
		e.wakeAt(due)
		return false
	}
	return true
}

// myTurn says whether it is this replica that should take the free shard now:
// at once if the plan says so, else after the others have had their chance.
func (e *Election) myTurn(c *claim, plan Plan) bool {
	if c.vacant == 0 {
		c.vacant = e.now
	}
	rank, of := e.rank(c, plan)
	if rank < 0 {
		return false
	}
	at := c.vacant.Add(e.cfg.Stagger * time.Duration(rank) / time.Duration(of))
	if e.now < at {
		e.wakeAt(at)
		return false
	}
	return true
}

// rank is the replica's place among those that could take the shard, the
// planned holder first; -1 if it cannot.
func (e *Election) rank(c *claim, plan Plan) (rank, of int) {
	own, could := e.Identity(), false
	for _, m := range e.members {
		if !m.Takes(c.family) {
			continue
		}
		of++
		if m.Identity == own {
			could = true
		} else if byPreference(c.shard, plan[c.shard], m.Identity, own) < 0 {
			rank++
		}
	}
	if !could {
		rank = -1
	}
	return rank, max(1, of)
}

// closedFor is how long a Lease is closed to a session that is over before the
// shard is taken from it. A write that the API server let in before it knew of that
// is stored within this time, while the Lease still names its writer: longer than
// an API server's copy of the Leases is old, and than a write takes from there to
// etcd.
const closedFor = 200 * time.Millisecond

// isClosed tells whether writes of the session that the Lease names, which is over,
// can be under way no more, as far as the fence in the API server keeps them out;
// if not, it sees to that. To its own replica's earlier sessions that fence makes
// no difference.
func (e *Election) isClosed(known *entry) bool {
	holder := known.shard.Holder
	if holder == "" || !known.shard.Session || e.view.who(holder).record == e.own {
		return true
	}
	if known.shard.Closed != holder {
		op := Op{Verb: Update, Name: known.lease.Name, Lease: known.lease.DeepCopy(), Why: "close"}
		op.Lease.Annotations = annotate(op.Lease.Annotations, map[string]string{AnnotationClosed: holder})
		e.send(op, nil)
		return false
	}
	return e.now >= known.closed.Add(closedFor)
}

// takeOver claims a free shard by compare-and-swap, after ending the session that
// its record names (R1), and keeping its writes out; or seals it, if its family is
// divided anew.
func (e *Election) takeOver(c *claim, known *entry) {
	holder := known.shard.Holder
	if holder != "" && known.shard.Session && !e.over(holder) {
		e.endSession(holder)
		return
	}
	if !e.isClosed(known) {
		return
	}
	switch p := e.parts[c.shard]; {
	case e.retires(c.shard, known):
		e.send(e.sealOp(c, known, StampRenew), nil)
		return
	case p.use != inUse: // somebody took what was not to be had
		e.send(e.releaseOp(c, known, ""), nil)
		return
	}
	op := e.holderOp(c, known, e.Identity(), "claim")
	if !known.shard.Claimed {
		e.view.restoreLedger(op.Lease)
	}
	how := e.howTaken(known)
	switch before := e.predecessors(c.shard, known); {
	case len(before) > 0:
		e.inherit(c, known, op.Lease, before)
		if how == CauseVacant {
			how = CauseLayout
		}
	case how == CauseTakeOver || how == CauseReclaim:
		delete(op.Lease.Annotations, AnnotationLeft)
	}
	if p := e.parts[c.shard]; known.shard.Generation < p.generation {
		if high := e.view.highest(c.family, p.bucket); high.created >= known.shard.Created {
			raise(op.Lease, high.epoch)
		}
	}
	op.Lease.Annotations[annotationHow] = string(how)
	delete(op.Lease.Annotations, AnnotationLedgerAsOf)
	e.send(op, nil)
}

// raise makes a claim have an epoch above another.
func raise(l *coordinationv1.Lease, above int32) {
	if above >= *l.Spec.LeaseTransitions && above < math.MaxInt32/2 {
		l.Spec.LeaseTransitions = ptr.To(above + 1)
	}
}

// howTaken says how this replica comes by a shard that it claims.
func (e *Election) howTaken(known *entry) Cause {
	switch holder := known.shard.Holder; {
	case holder == "" && known.shard.Preferred == e.Identity():
		return CauseTransfer
	case holder == "":
		return CauseVacant
	case e.view.who(holder).record == e.own:
		return CauseReclaim
	}
	return CauseTakeOver
}

// inherit makes the first claim of a new bucket tell what the holders of the old
// ones have left, and its fencing token rise above theirs also where the Leases
// were made in the same second (R7).
func (e *Election) inherit(c *claim, known *entry, l *coordinationv1.Lease, before []familyLease) {
	carried, left, load := known.shard.Carried, time.Time{}, int64(0)
	last := slices.MaxFunc(before, func(a, b familyLease) int { return cmp.Compare(a.shard.Sealed, b.shard.Sealed) }).shard.Sealed
	for _, old := range before {
		if old.shard.Created >= known.shard.Created {
			raise(l, old.shard.Epoch)
		}
		carried = newest(carried, old.shard.Carried)
		if old.shard.Left.After(left) {
			left = old.shard.Left
		}
		if old.shard.Sealed == last { // not those of layouts before the last one
			load += old.shard.Load * old.bucket.common(e.parts[c.shard].bucket) / 1000
		}
	}
	l.Annotations = annotate(l.Annotations, map[string]string{AnnotationCarried: encodeMap(carried), AnnotationLoad: countOrNothing(load), AnnotationLeft: ""})
	if !left.IsZero() {
		l.Annotations[AnnotationLeft] = left.UTC().Format(time.RFC3339Nano)
	}
}

// adopt labels a Lease that somebody else made, or whose labels were taken
// away, so that the watch shows it.
func (e *Election) adopt(known *entry) {
	op := Op{Verb: Update, Name: known.lease.Name, Lease: known.lease.DeepCopy(), Why: "label"}
	shard := known.lease.Name[len(e.cfg.Group)+1:]
	op.Lease.Labels = annotate(op.Lease.Labels, e.shardLabels(shard))
	op.Lease.Annotations = annotate(op.Lease.Annotations, e.subject(shard))
	e.send(op, nil)
}

// relabel puts back on a held Lease what others find it by; it tells whether it has
// sent anything. If somebody forbids that, the term is to be renewed all the same,
// so the next attempt is not before a RenewInterval has passed.
func (e *Election) relabel(c *claim, known *entry) bool {
	switch {
	case !e.unlabelled(c.shard, known):
		c.labelled = known.rv
	case e.now < c.relabelAt:
		e.wakeAt(c.relabelAt)
	case e.free(known.lease.Name):
		c.relabelAt = e.now.Add(e.cfg.Timings.RenewInterval)
		e.adopt(known)
		return true
	}
	return false
}

// unlabelled tells whether a Lease lacks what others find it by, or what they have
// to know of its objects: an older version made it, or somebody has removed it.
func (e *Election) unlabelled(shard string, known *entry) bool {
	for key, value := range e.shardLabels(shard) {
		if known.lease.Labels[key] != value {
			return true
		}
	}
	for key, value := range e.subject(shard) {
		if value != "" && known.lease.Annotations[key] != value {
			return true
		}
	}
	return false
}

// subject says what the shard is about, as far as this replica knows.
func (e *Election) subject(shard string) map[string]string {
	family, _ := ParseShardName(shard)
	spec := e.families[family]
	set := map[string]string{}
	if spec.Resource != "" {
		set[AnnotationResource] = spec.Resource
	}
	if spec.Kind != "" {
		set[AnnotationKind], set[AnnotationScope] = spec.Kind, ScopeNamespaced
		if spec.ClusterScoped {
			set[AnnotationScope] = ScopeCluster
		}
	}
	return set
}

// annotationHow tells the new holder how it came by the shard.
const annotationHow = "shardctl.dev/gained"

func (e *Election) shardLabels(shard string) map[string]string {
	family, _ := ParseShardName(shard)
	labels := map[string]string{LabelGroup: e.cfg.Group, LabelKind: KindShard, LabelFamily: FamilyLabel(family)}
	if len(validation.IsValidLabelValue(shard)) == 0 {
		labels[LabelShard] = shard
	}
	return labels
}

// createShardOp makes a shard Lease, unowned: creating it grants nothing (R6b).
func (e *Election) createShardOp(c *claim) Op {
	about := e.subject(c.shard)
	if p := e.parts[c.shard]; p != nil {
		about[AnnotationPartition] = string(p.bucket.By)
		if len(p.awaits) > 0 && p.use != retiring && !e.sealed(p) {
			about[AnnotationComing] = countOrNothing(p.generation)
		}
	}
	op := Op{Verb: Create, Name: c.lease, Why: "create", Lease: &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: c.lease, Namespace: e.cfg.Namespace,
			Labels:      e.shardLabels(c.shard),
			Annotations: annotate(nil, about),
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       ptr.To(""),
			LeaseDurationSeconds: ptr.To[int32](releasedDuration),
			LeaseTransitions:     ptr.To(c.firstEpoch()),
		},
	}}
	e.view.restoreLedger(op.Lease)
	return op
}

// firstEpoch is that of a Lease which is made: the last one known of the Lease
// before it, if there was one. One that was deleted in the second in which it had
// been made has the same creation time as its successor, and the fencing token
// has to rise all the same (R7).
func (c *claim) firstEpoch() int32 {
	if c.lastEpoch > math.MaxInt32/2 {
		return 0 // nobody's terms; the new Lease must have epochs left
	}
	return c.lastEpoch
}

// holderOp writes a new holder, at the next epoch: this session in its own mode,
// another one in session mode. It tells what the work of this replica has left,
// and keeps what operators wrote. Only a claim says by which layout: what is handed
// on stays what it is.
func (e *Election) holderOp(c *claim, known *entry, holder, why string) Op {
	l := known.lease.DeepCopy()
	l.Labels = annotate(l.Labels, e.shardLabels(c.shard))
	l.Annotations = annotate(l.Annotations, e.subject(c.shard))
	c.lastWord(known, l)
	l.Annotations = annotate(l.Annotations, map[string]string{
		AnnotationSession:  holder,
		AnnotationDuration: e.durationOf(holder).String(),
		AnnotationClaimed:  string(l.UID),
		AnnotationComing:   "", AnnotationClosed: "",
		AnnotationCarried: encodeMap(newest(known.shard.Carried, c.carried)),
		AnnotationLoad:    countOrNothing(e.loadOf(c, known)),
		AnnotationAttempt: "", AnnotationPreferred: "",
		annotationHow: string(CauseTransfer),
	})
	if p := e.parts[c.shard]; p != nil && holder == e.Identity() {
		l.Annotations = annotate(l.Annotations, map[string]string{
			AnnotationPartition: string(p.bucket.By), AnnotationGeneration: countOrNothing(p.generation),
		})
	}
	l.Spec.HolderIdentity = &holder
	l.Spec.LeaseDurationSeconds = ptr.To[int32](foreignDuration)
	l.Spec.LeaseTransitions = ptr.To(c.nextEpoch(known))
	if holder == e.Identity() && e.cfg.Mode == LeaseMode {
		e.byItself(c, l)
	}
	return Op{Verb: Update, Name: l.Name, Lease: l, Stamp: StampAcquire, Why: why}
}

// loadOf is what this replica measured if it was the last holder, else what that
// one left.
func (e *Election) loadOf(c *claim, known *entry) int64 {
	if load, ok := e.report.Load[c.shard]; ok && known.shard.Holder == e.Identity() {
		return max(0, load)
	}
	return known.shard.Load
}

// newest merges what two terms wrote: of each resource type the newer
// resourceVersion. A term that wrote nothing hands on what it was given.
func newest(a, b map[string]string) map[string]string {
	merged := maps.Clone(a)
	for resource, rv := range b {
		if merged == nil {
			merged = map[string]string{}
		}
		if parseRV(rv) > parseRV(merged[resource]) {
			merged[resource] = rv
		}
	}
	return merged
}

// releaseOp gives the shard to nobody: anyone may claim it at once, but the
// preferred one, if there is one, is the first in line.
func (e *Election) releaseOp(c *claim, known *entry, preferred string) Op {
	op := e.holderOp(c, known, "", "release")
	op.Lease.Annotations = annotate(op.Lease.Annotations, map[string]string{AnnotationDuration: "", annotationHow: "", AnnotationPreferred: preferred})
	op.Lease.Spec.LeaseDurationSeconds = ptr.To[int32](releasedDuration)
	op.Lease.Spec.LeaseTransitions = ptr.To(known.shard.Epoch)
	op.Stamp = StampRelease
	return op
}

// sealOp gives the shard to nobody for good: its keys go to the buckets of the
// next layout.
func (e *Election) sealOp(c *claim, known *entry, stamp Stamp) Op {
	op := e.releaseOp(c, known, "")
	op.Lease.Annotations[AnnotationPartition] = string(cmp.Or(known.shard.Partition, e.parts[c.shard].bucket.By))
	op.Lease.Annotations[AnnotationSealed] = strconv.FormatInt(e.parts[c.shard].generation, 10)
	op.Why, op.Stamp = "seal", stamp
	if stamp != StampRelease {
		delete(op.Lease.Annotations, AnnotationLeft)
	}
	return op
}

// nextEpoch is one more than any epoch known of this Lease, up to the largest
// that a Lease can hold: there it stays, and no further term begins (R3).
func (c *claim) nextEpoch(known *entry) int32 {
	epoch := known.shard.Epoch
	if c.ended.uid == known.shard.UID {
		epoch = max(epoch, c.ended.epoch) // somebody set it back by hand
	}
	if epoch == math.MaxInt32 {
		return epoch
	}
	return epoch + 1
}

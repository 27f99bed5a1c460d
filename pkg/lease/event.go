// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Instant is a reading of the replica's own clock, which goes on while the
// process or the machine is stopped, in nanoseconds since an arbitrary start
// before the process began. The zero Instant is "never".
type Instant int64

// Add returns the instant d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Sub returns how long after j it is.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i - j) }

// Event is something that happened: all that an [Election] ever learns.
type Event interface{ event() }

// Listed is a whole list of the group's Leases. ResourceVersion is that of the
// list.
type Listed struct {
	ResourceVersion string
	Leases          []*coordinationv1.Lease
}

// Observed is one event of the group's watch: a Lease as it is now, or as it
// was when it was deleted.
type Observed struct {
	Lease   *coordinationv1.Lease
	Deleted bool
}

// Progressed is a bookmark: the watch has shown everything up to it.
type Progressed struct{ ResourceVersion string }

// Replied is the outcome of an [Op].
type Replied struct {
	ID      uint64
	Outcome Outcome
	// Lease is what the API server answered to an OK; it may be nil for a
	// Delete.
	Lease *coordinationv1.Lease
	// RetryAfter is how long the API server asks to wait before the next
	// request; zero if it does not.
	RetryAfter time.Duration
	// Reason is the error's text, for people.
	Reason string
}

// Reported says what the replica can do: its next heartbeat tells the others.
type Reported struct {
	Ready bool
	// Load per held shard, in thousandths of a worker; nil keeps the last.
	Load map[string]int64
	// Problems per shard, family or [ProblemOfReplica], for people; nil keeps the last.
	Problems map[string]string
	// Fence is the digest of the admission policies that the replica's configuration
	// calls for; empty keeps the last.
	Fence string
	// Declines are families of which this replica takes no shard now, and why: what it
	// holds of them it gives away, also if nobody else takes it. Nil keeps the last.
	Declines map[string]Cause
	// Busy are families whose work should not be interrupted: no shard of theirs is moved
	// for balance alone. Nil keeps the last.
	Busy map[string]bool
}

// Configured replaces the set of shards that this replica can hold.
type Configured struct{ Shards []ShardSpec }

// Revised replaces the revision and the number of replicas there are to be, such as
// after an older version of the program was made the newest again.
type Revised struct {
	Revision       int64
	TargetReplicas int
}

// Drained says that the work of a revoked term has ended in this process.
type Drained struct {
	Term Term
	// Wrote is the newest resourceVersion per resource type that the term's
	// writes got.
	Wrote map[string]string
	// Ledger, if set, is the last entry in the ledger: it is written together with
	// what gives the shard away.
	Ledger *string
}

// Enter asks for an entry in the ledger of a term's shard, in the place of what it
// says; [Entered] answers it. One that still waits for its turn is given up for it.
type Enter struct {
	ID   uint64 // not zero; of this process
	Term Term
	Text string
}

// Died says that a process is known to have ended, whatever its record says: the
// kubelet reports that the container terminated which wrote this boot nonce
// (R10). It permits to end its session without waiting for it to expire.
type Died struct{ Replica Replica }

// Leave makes the replica hand everything over and end its session.
type Leave struct{}

// Tick says only that time has passed.
type Tick struct{}

func (Listed) event()     {}
func (Observed) event()   {}
func (Progressed) event() {}
func (Replied) event()    {}
func (Reported) event()   {}
func (Configured) event() {}
func (Revised) event()    {}
func (Drained) event()    {}
func (Enter) event()      {}
func (Died) event()       {}
func (Leave) event()      {}
func (Tick) event()       {}

// Outcome of a request, as far as the protocol cares.
type Outcome int

// The outcomes. All but OK leave the record to be learned from the watch: a
// request whose outcome is Unknown may still be carried out later.
const (
	OK        Outcome = iota
	Conflict          // the Lease changed since it was read, or it exists already
	NotFound          // the Lease is not there
	Throttled         // 429: not carried out
	Rejected          // 4xx: not carried out, and repeating it at once is useless
	Unknown           // time-out, connection lost, 5xx: perhaps carried out
)

func (o Outcome) String() string {
	return [...]string{"ok", "conflict", "not found", "throttled", "rejected", "unknown"}[o]
}

// Effect is something that the driver has to do.
type Effect interface{ effect() }

// Verb of a request on a Lease.
type Verb string

// The verbs that the protocol uses. There is no patch: every write names the
// resourceVersion it was derived from.
const (
	Get    Verb = "get"
	Create Verb = "create"
	Update Verb = "update"
	Delete Verb = "delete"
)

// Stamp says which wall-clock times the driver writes into a Lease on sending.
// They are for people and foreign electors; the protocol never reads them.
type Stamp int

// The stamps.
const (
	StampNone    Stamp = iota
	StampRenew         // spec.renewTime
	StampAcquire       // spec.acquireTime and spec.renewTime
	StampGive          // these, and when the giver had ended all work
	StampRelease       // spec.renewTime, and when the giver had ended all work
)

// Set writes the times into a Lease that is about to be sent.
func (s Stamp) Set(l *coordinationv1.Lease, now time.Time) {
	at := metav1.NewMicroTime(now)
	if s != StampNone {
		l.Spec.RenewTime = &at
	}
	if s == StampAcquire || s == StampGive {
		l.Spec.AcquireTime = &at
	}
	if s == StampGive || s == StampRelease {
		l.Annotations = annotate(l.Annotations, map[string]string{AnnotationLeft: now.UTC().Format(time.RFC3339Nano)})
	}
}

// Op is a request on one Lease. There is never more than one under way on one
// Lease.
type Op struct {
	ID    uint64
	Verb  Verb
	Name  string
	Lease *coordinationv1.Lease // what is written, or whose UID and resourceVersion a Delete demands
	Stamp Stamp
	// Keeps says that it renews a term: it must not wait behind other requests.
	Keeps bool
	// Why says in a few words what the request is for.
	Why string
}

// Term is one holding of one shard by one session of a replica.
type Term struct {
	Shard string
	// Family is what the shard is a bucket of: its own name where the family is in
	// one piece, and Bucket then is the zero value.
	Family   string
	Bucket   Bucket
	Identity string
	UID      types.UID // of the shard Lease
	Epoch    int32
	// Token is the fencing token to hand on: see [Shard.Token].
	Token int64
	// Carried is the newest resourceVersion per resource type that the last
	// holder wrote: caches older than that are not acted upon.
	Carried map[string]string
	// How the shard was gained.
	How Cause
	// Load is what the last holder measured when it gave the shard away, in
	// thousandths of a worker; 0 if that is not known.
	Load int64
	// Left is when the last holder had ended all work, by its wall clock; zero if
	// the shard was not given away in order.
	Left time.Time
	// Mode says what renews the term: the session, or its own Lease.
	Mode Mode
	// From is the session whose term came right before this one, as far as this replica's
	// watch has shown it; an earlier one of this replica, perhaps. Empty if it has not.
	From string
	// Ledger is what the work has on record, as it was when the term began.
	Ledger string
}

// Cause says why a shard was gained or lost. The values appear in logs and
// metrics.
type Cause string

// The causes.
const (
	CauseVacant   Cause = "vacant"    // gained: nobody held it
	CauseTransfer Cause = "transfer"  // gained: handed over by its holder
	CauseTakeOver Cause = "take-over" // gained: its holder's session is over
	CauseReclaim  Cause = "reclaim"   // gained: an earlier session of this replica held it

	CauseLayout Cause = "layout" // gained or lost: its family was divided anew

	CauseBalance Cause = "balance" // lost: another replica should hold it
	CausePinned  Cause = "pinned"  // lost: an operator wants it on another replica
	CauseDrained Cause = "drained" // lost: an operator wants this replica to hold nothing
	CauseUnready Cause = "unready" // lost: this replica is not ready, another is
	CauseUnfit   Cause = "unfit"   // lost: this replica is not fit for its family, as a probe says
	CauseYielded Cause = "yielded" // lost: whoever works for it asked that another replica does
	CauseLeaving Cause = "leaving" // lost: this replica leaves
	CauseRemoved Cause = "removed" // lost: no longer configured here
	CauseLapsed  Cause = "lapsed"  // lost: the session's validity passed
	CauseEnded   Cause = "ended"   // lost: somebody ended the session
	CauseTaken   Cause = "taken"   // lost: the Lease names another holder
	CauseDeleted Cause = "deleted" // lost: the Lease was deleted
)

// Send asks for a request.
type Send struct{ Op Op }

// Began says that the replica goes on under a new identity, not valid yet.
type Began struct{ Identity string }

// Extended moves the validity of the session and of all its terms; or, where it
// names a shard, that of the one term whose Lease is renewed by itself: such a
// term is valid for as long as both are. The first comes just before the term is
// granted; one that is zero says that a term is over whose work had ended before.
type Extended struct {
	Shard string
	Until Instant
	// Sent is when the renewal was sent that the watch has shown now.
	Sent Instant
}

// Unrenewed says that a heartbeat was not answered with OK. It may be in the record
// all the same, and the next one follows soon.
type Unrenewed struct{ Outcome Outcome }

// Granted starts a term.
type Granted struct{ Term Term }

// Revoked ends a term. The work must stop; when it has, the driver answers
// [Drained]. A graceful one is valid until then, and its shard waits for it;
// any other is over already.
type Revoked struct {
	Term     Term
	Cause    Cause
	Graceful bool
	// Successor is the identity that will get the shard, where one is known.
	Successor string
}

// Passed says that a shard was given away, now that the work has ended.
type Passed struct {
	Term      Term
	Cause     Cause
	Successor string // empty: released
}

// Ended says that this replica ended the session of another process (R1).
type Ended struct {
	Identity string
	Reason   EndReason
}

// EndReason says why a replica ended the session of another process. The values
// appear in logs and metrics.
type EndReason string

// The reasons.
const (
	EndExpired     EndReason = "expired"     // it has shown no sign of life for its LeaseDuration
	EndDead        EndReason = "dead"        // the kubelet reports its end (R10)
	EndPredecessor EndReason = "predecessor" // it was an earlier run of this very container
)

// Emptied says that this replica begins, or ceases, to be one of an older revision
// that holds nothing any more: it may be removed before others.
type Emptied struct{ Yes bool }

// Refused tells of a request that the API server refused for good, such as for
// want of a permission. It is repeated, slowly.
type Refused struct {
	Op     Op
	Reason string
}

// Entered answers an [Enter]. OK says that the entry is in the record, and was written
// there before anybody else could take the shard. If it is not OK the entry may be there
// all the same.
type Entered struct {
	ID uint64
	OK bool
}

// Left says that the session is over in an orderly way.
type Left struct{}

func (Send) effect()      {}
func (Began) effect()     {}
func (Extended) effect()  {}
func (Unrenewed) effect() {}
func (Granted) effect()   {}
func (Revoked) effect()   {}
func (Passed) effect()    {}
func (Ended) effect()     {}
func (Emptied) effect()   {}
func (Refused) effect()   {}
func (Entered) effect()   {}
func (Left) effect()      {}

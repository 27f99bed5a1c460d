// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ShardSpec is what a replica can hold: a family of shards, one for each bucket;
// a single one of the family's name where that is in one piece.
type ShardSpec struct {
	// Name is that of the family, unique in the group: a DNS subdomain that does
	// not end like a bucket's.
	Name string
	// Resource is the type the family stands for, as resource.group; empty for
	// a role.
	Resource string
	// Kind is that of the type's objects, and ClusterScoped tells that they are in no
	// namespace: the Leases say so for the fence in the API server. Kind is empty
	// for a role.
	Kind          string
	ClusterScoped bool
	// Buckets is how many the replica would divide the family into; what the
	// layout record says goes first. 0 and 1 for none, at most [MaxBuckets].
	Buckets int
	// Partition says how. Default: [ByUID].
	Partition Partition
}

// Config is what an [Election] needs to know of its replica.
type Config struct {
	// Group is the group's name, a DNS label; Namespace is where its Leases
	// live.
	Group, Namespace string
	Replica          Replica
	// Owner, if set, makes the garbage collector remove the member Lease
	// together with the Pod.
	Owner *metav1.OwnerReference
	// Revision orders versions of the program: shards move from lower to
	// higher only.
	Revision int64
	// TargetReplicas is how many replicas of this revision there are to be; 0 if
	// that is not known.
	TargetReplicas int
	Timings        Timings
	// Mode says how this replica renews the shards that it holds. Replicas
	// with different modes run side by side. Default: [SessionMode].
	Mode   Mode
	Shards []ShardSpec // families
	// Assign says who should hold what. It must be a pure function: it is not
	// asked again about a snapshot that it has just seen, and what it returns is
	// not changed.
	Assign func(Snapshot) Plan
	// Cooldown is how long a shard that was received is not moved on for
	// balance alone, so that differing snapshots do not play ping-pong with
	// it. Default 2 s.
	Cooldown time.Duration
	// Stagger is how long, in all, the members wait one after the other before
	// they take a free shard that the plan gives to somebody else. Default
	// 500 ms.
	Stagger time.Duration
}

const (
	defaultCooldown = 2 * time.Second
	defaultStagger  = 500 * time.Millisecond
)

func (c *Config) setDefaults() {
	if c.Mode == "" {
		c.Mode = SessionMode
	}
	if c.Cooldown == 0 {
		c.Cooldown = defaultCooldown
	}
	if c.Stagger == 0 {
		c.Stagger = defaultStagger
	}
}

// Validate tells what is wrong with c.
func (c *Config) Validate() error {
	var errs field.ErrorList
	for name, value := range map[string]string{"group": c.Group, "namespace": c.Namespace} {
		for _, problem := range validation.IsDNS1123Label(value) {
			errs = append(errs, field.Invalid(field.NewPath(name), value, problem))
		}
	}
	errs = append(errs, c.Timings.Validate(field.NewPath("timings"))...)
	errs = append(errs, c.Mode.validate(nil)...)
	if c.TargetReplicas < 0 {
		errs = append(errs, field.Invalid(field.NewPath("targetReplicas"), c.TargetReplicas, "use 0 for unknown, or more"))
	}
	if c.Assign == nil {
		errs = append(errs, field.Required(field.NewPath("assign"), "say who should hold what"))
	}
	if c.Cooldown < 0 {
		errs = append(errs, field.Invalid(field.NewPath("cooldown"), c.Cooldown.String(), "use 0 or more"))
	}
	if c.Stagger < 0 {
		errs = append(errs, field.Invalid(field.NewPath("stagger"), c.Stagger.String(), "use 0 or more"))
	}
	errs = append(errs, validateShards(c.Group, c.Shards)...)
	if err := c.Replica.validate(); err != nil {
		errs = append(errs, field.Invalid(field.NewPath("replica"), c.Replica, err.Error()))
	}
	return errs.ToAggregate()
}

func validateShards(group string, shards []ShardSpec) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, s := range shards {
		path := field.NewPath("shards").Index(i).Child("name")
		longest := partitioning(min(s.Buckets, MaxBuckets), s.Partition).buckets()
		for _, problem := range validation.IsDNS1123Subdomain(ShardLeaseName(group, ShardName(s.Name, longest[len(longest)-1]))) {
			errs = append(errs, field.Invalid(path, s.Name, problem))
		}
		if name := ShardLeaseName(group, s.Name); name == LayoutLeaseName(group) || strings.HasPrefix(name, group+".member-") {
			errs = append(errs, field.Invalid(path, s.Name, "this name is reserved for the group's own Leases: use another"))
		}
		if seen[s.Name] {
			errs = append(errs, field.Duplicate(path, s.Name))
		}
		seen[s.Name] = true
		errs = append(errs, s.validateBuckets(field.NewPath("shards").Index(i))...)
	}
	return errs
}

func (s ShardSpec) validateBuckets(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if _, b := ParseShardName(s.Name); b.Of > 0 {
		errs = append(errs, field.Invalid(path.Child("name"), s.Name, "it ends like the name of a bucket: use another"))
	}
	if s.Buckets < 0 || s.Buckets > MaxBuckets {
		errs = append(errs, field.Invalid(path.Child("buckets"), s.Buckets, fmt.Sprintf("use 1 to %d", MaxBuckets)))
	}
	if s.Partition != "" && !slices.Contains(Partitions(), s.Partition) {
		errs = append(errs, field.NotSupported(path.Child("partition"), s.Partition, Partitions()))
	}
	return errs
}

// Election is one replica's part in the group: its session, its claims and its
// view of the others, as one state machine. It has no clock, no goroutine and
// no client: [Election.Step] takes what happened and says what to do, and the
// same events at the same instants give the same effects. It is not safe for
// concurrent use; a [Driver] is the one goroutine around it.
type Election struct {
	cfg     Config
	view    *view
	own     string // name of the own member Lease
	session session
	claims  map[string]*claim
	order   []*claim // claims, by the name of the shard
	report  Reported
	leaving bool
	// leavingSince is when it was told to.
	leavingSince Instant
	left         bool
	emptied      bool // as it was last told
	handing      int  // hand-offs under way, as of the last look

	families   map[string]ShardSpec // those that this replica serves
	serves     []string             // their names, sorted
	divides    map[string]Partitioning
	configured uint64 // counts configurations
	// layouts are the newest known of families, by the record.
	layouts map[string]LayoutFamily
	shape   shape            // what the following was made from
	parts   map[string]*part // shards of the families
	shards  []string         // their names, sorted
	strays  []string         // Leases of earlier layouts
	// outlived are families of which Leases tell of later layouts than the record.
	outlived map[string]bool
	stale    []string // shards of earlier layouts in the record
	// strayed is the version of the view in which these were looked for, straysAt
	// when.
	strayed  uint64
	straysAt Instant

	ops    map[uint64]pending
	nextOp uint64
	// attempts counts renewals, of whatever Lease.
	attempts uint64
	// busy Leases have a request under way.
	busy map[string]bool
	// retry holds, per Lease, the back-off after a failed request.
	retry map[string]backoff
	// absent says since when a holder's member Lease is known to be missing.
	absent map[string]Instant
	// dead are processes that are known to have ended, oldest first.
	dead []Replica
	// layoutDue is since when the layout record should be written.
	layoutDue Instant

	now      Instant
	members  []Candidate // the live members, as of the last look
	snapshot Snapshot    // what the plan was made from
	planned  Plan
	spare    []Assignable // room for the next snapshot, which mostly equals the last one
	wake     Instant      // the earliest instant at which something becomes due
	effects  []Effect
}

// pending is a request under way, and who is to learn of its outcome.
type pending struct {
	op   Op
	done func(Replied)
}

// NewElection returns the machine of a replica that has done nothing yet.
func NewElection(cfg Config) (*Election, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("election of group %q: %w", cfg.Group, err)
	}
	e := &Election{
		cfg:     cfg,
		view:    newView(cfg.Group),
		own:     MemberLeaseName(cfg.Group, cfg.Replica),
		layouts: map[string]LayoutFamily{},
		claims:  map[string]*claim{},
		ops:     map[uint64]pending{},
		busy:    map[string]bool{},
		retry:   map[string]backoff{},
		absent:  map[string]Instant{},
	}
	e.session = newSession(Identity{Replica: cfg.Replica, Incarnation: 1})
	e.configure(cfg.Shards)
	return e, nil
}

// Step takes what happened since it was called last, in that order, at an instant
// of the replica's own clock, and returns what has to be done, in that order. To
// take several events at once is for when they come faster than each can be acted
// upon by itself. The returned slice is valid until the next call.
func (e *Election) Step(now Instant, events ...Event) []Effect {
	e.effects = e.effects[:0]
	e.now = max(e.now, now)
	if e.left {
		return nil
	}
	// Before anything else (R4): whatever the events say, it comes too late for a
	// session whose validity has passed.
	e.expire()
	for _, ev := range events {
		if !e.left {
			e.take(ev)
		}
	}
	if !e.left {
		e.act()
	}
	return e.effects
}

// take brings an event into the state.
func (e *Election) take(ev Event) {
	switch ev := ev.(type) {
	case Listed:
		if e.view.replace(e.now, ev) {
			e.session.synced = true
			e.absenceListed()
		}
	case Observed:
		e.view.observe(e.now, ev)
	case Progressed:
		e.view.progress(parseRV(ev.ResourceVersion))
	case Replied:
		e.replied(ev)
	case Reported:
		e.reported(ev)
	case Configured:
		e.configure(ev.Shards)
	case Revised:
		e.session.urgent = e.session.urgent || ev.Revision != e.cfg.Revision || ev.TargetReplicas != e.cfg.TargetReplicas
		e.cfg.Revision, e.cfg.TargetReplicas = ev.Revision, max(0, ev.TargetReplicas)
	case Drained:
		e.drained(ev)
	case Enter:
		e.enter(ev)
	case Died:
		e.died(ev.Replica)
	case Leave:
		e.leave()
	case Tick:
	}
}

// Deadline is when Step has to be called with a [Tick] unless something else
// happens before; zero means never.
func (e *Election) Deadline() Instant { return e.wake }

// Identity is the identity of the session as it is now.
func (e *Election) Identity() string { return e.session.id }

// Valid tells whether the session is valid at the instant now.
func (e *Election) Valid(now Instant) bool { return e.session.valid(now) }

// Newest is the newest resourceVersion known: a list must not be older. Empty
// before the first list.
func (e *Election) Newest() string {
	if e.view.newest == 0 {
		return ""
	}
	return fmt.Sprint(e.view.newest)
}

// act does everything that follows from the state as it is now. Every walk is
// in sorted order, so that the effects are a function of the events.
func (e *Election) act() {
	e.wake = 0
	e.watchSession()
	if e.left {
		return
	}
	e.actSession()
	e.partition()
	e.findStrays()
	plan := e.plan()
	e.countHandOffs()
	for _, c := range e.order {
		e.actClaim(c, plan)
	}
	e.actLayout()
	e.actPeers()
	e.actStrays()
	e.actLeave()
}

// wakeAt asks for a Tick at the instant, unless an earlier one is asked for.
func (e *Election) wakeAt(at Instant) {
	if e.wake == 0 || at < e.wake {
		e.wake = at
	}
}

func (e *Election) emit(effects ...Effect) { e.effects = append(e.effects, effects...) }

// configure replaces the set of families; shards that are held and no longer
// wanted are given back by their claims.
func (e *Election) configure(families []ShardSpec) {
	e.families, e.divides = make(map[string]ShardSpec, len(families)), map[string]Partitioning{}
	for _, f := range families {
		e.families[f.Name] = f
		if p := partitioning(f.Buckets, f.Partition); p != (Partitioning{}) {
			e.divides[f.Name] = p
		}
	}
	serves := slices.Sorted(maps.Keys(e.families))
	e.serves = e.view.share(strings.Join(serves, ","), serves)
	e.configured++
	e.session.urgent = true
}

func (e *Election) reported(r Reported) {
	if r.Ready != e.report.Ready {
		e.session.urgent = true
	}
	e.report.Ready = r.Ready
	if r.Load != nil {
		e.report.Load = r.Load
	}
	if r.Problems != nil {
		e.report.Problems = r.Problems
	}
	e.report.Fence = cmp.Or(r.Fence, e.report.Fence)
	if r.Declines != nil && !maps.Equal(r.Declines, e.report.Declines) {
		e.report.Declines = maps.Clone(r.Declines)
		e.session.urgent = true
	}
	if r.Busy != nil {
		e.report.Busy = maps.Clone(r.Busy)
	}
}

// send asks for a request; done learns its outcome after the view has.
func (e *Election) send(op Op, done func(Replied)) {
	if e.busy[op.Name] {
		panic(fmt.Sprintf("lease %s: a second request while one is under way", op.Name))
	}
	e.nextOp++
	op.ID = e.nextOp
	e.busy[op.Name] = true
	e.ops[op.ID] = pending{op: op, done: done}
	e.emit(Send{Op: op})
}

// free tells whether a request on the Lease may be sent now; if not, it asks
// to be woken when the back-off is over.
func (e *Election) free(name string) bool {
	if e.busy[name] {
		return false
	}
	if at := e.retry[name].until; at > e.now {
		e.wakeAt(at)
		return false
	}
	return true
}

// replied takes in the outcome of a request.
func (e *Election) replied(r Replied) {
	p, ok := e.ops[r.ID]
	if !ok {
		return // a duplicate
	}
	delete(e.ops, r.ID)
	delete(e.busy, p.op.Name)
	if r.Outcome == OK {
		if p.op.Verb != Get {
			delete(e.retry, p.op.Name) // having read it does not mean that the next write succeeds
		}
		e.learn(p.op, r)
	} else {
		e.failed(p.op, r)
	}
	if p.done != nil {
		p.done(r)
	}
}

// learn brings the answer to a successful request into the view.
func (e *Election) learn(op Op, r Replied) {
	switch {
	case op.Verb == Delete:
		// Or it would be deleted again before the watch shows it. If that has shown
		// another one of the name meanwhile, the reply is late.
		if known := e.view.leases[op.Name]; known != nil && known.lease.UID == op.Lease.UID {
			e.view.drop(op.Name)
		}
	case r.Lease != nil && r.Lease.Name == op.Name:
		e.view.heard(e.now, r.Lease)
	}
}

// failed starts the back-off; after a conflict the Lease is read at once, for
// the watch does not show one whose label was taken away.
func (e *Election) failed(op Op, r Replied) {
	o := r.Outcome
	if o == Rejected {
		e.emit(Refused{Op: op, Reason: r.Reason})
	}
	e.backOff(op.Name, r)
	switch known := e.view.leases[op.Name]; {
	case (o == Conflict || o == NotFound) && op.Verb != Get:
		e.send(Op{Verb: Get, Name: op.Name, Why: "read again after a " + o.String()}, nil)
	case o == NotFound && known != nil && !known.shown:
		e.view.drop(op.Name) // the watch never showed it, so it cannot show its end
	}
}

// backOff spaces requests on a Lease.
func (e *Election) backOff(name string, r Replied) {
	b := e.retry[name]
	b.fail(e.now, r, name+e.cfg.Replica.Boot, e.cfg.Timings.RenewInterval)
	e.retry[name] = b
}

// backoff after failed requests on one Lease.
type backoff struct {
	until    Instant
	failures uint
}

// fail doubles the wait up to a quarter of the interval between heartbeats: when
// an outage ends, however long it was, the next attempt must come before the
// deadline that the last heartbeat left. For the same reason half an interval is
// the most that the API server is given if it asks for a pause: with both, the
// next attempt comes within 3/4 of an interval, and there are two intervals from
// the first to the deadline. The jitter comes from a hash: the machine has no
// randomness of its own.
func (b *backoff) fail(now Instant, r Replied, salt string, interval time.Duration) {
	b.failures++
	wait := min(interval/4, interval/32<<min(b.failures, 6))
	if r.Outcome == Conflict && b.failures == 1 {
		wait = 0 // somebody else was faster once: look again, at once
	}
	asked := min(max(r.RetryAfter, 0), interval/2)
	if r.Outcome == Rejected {
		wait, asked = interval, 0
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", salt, b.failures)
	b.until = now.Add(asked + wait/2 + time.Duration(mix(h.Sum64())%uint64(wait/2+1)))
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood: Fast Splittable
// Pseudorandom Number Generators, OOPSLA 2014): FNV alone leaves the upper bits
// of short, similar strings alike.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

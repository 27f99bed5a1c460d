// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"io"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Group is the name of the group.
const Group = "g"

// Cooldown is that of the replicas.
const Cooldown = 2 * time.Second

// World is a group of replicas around a model of the API server, on virtual
// time: the very machines that ship, the same events in the same order for the
// same seed. It checks what must always hold after everything that happens. It
// is not safe for concurrent use.
type World struct {
	Server *Server
	// Replicas are all processes ever started, in the order of their start.
	Replicas []*Replica
	// Config is what all replicas have in common, unless they are started with
	// another.
	Config lease.Config
	Faults Faults
	// Fate, if set, may decide what becomes of a request.
	Fate func(r *Replica, op lease.Op) (f Fate, ok bool)
	// Wrote is what the work of a term says it has written, when it returns.
	Wrote func() map[string]string
	// Recorded, if set, is told of every step of every machine. The effects are
	// valid until it returns.
	Recorded func(r *Replica, now lease.Instant, events []lease.Event, effects []lease.Effect)
	Checks   Checks

	// Transcript, if set, gets a line for everything that happens; a Verbose
	// one shows what each replica sees, too.
	Transcript io.Writer
	Verbose    bool

	objects []*objects // of the shards that have any
	// ledgers: the work has something on record; scribes, if set, make entries.
	ledgers bool
	scribes *scribes
	asked   uint64 // number of the newest entry
	// schedules, if set, are the family that is one.
	schedules *schedules
	writing   *Replica // whose request is carried out; nil: a hand acts

	seed                   uint64
	sources, objectSources uint32
	now                    time.Duration // true time since the start
	agenda                 agenda
	// healedAt is when the network was repaired: what was under way then
	// arrives soon or never.
	healedAt time.Duration
	// toMove counts the shards that the last plan gives to others than their holders.
	toMove int
	// only these faults may happen, if set; struck are those that did.
	only   *Selection
	struck []Strike
}

// New makes a group that nobody has joined, and in which nothing goes wrong
// unless Faults say otherwise. All chance comes from the seed.
func New(seed uint64, timings lease.Timings, shards ...string) *World {
	w := &World{
		seed:   seed,
		Config: lease.Config{Group: Group, Namespace: "default", Timings: timings, Cooldown: Cooldown},
		Faults: Calm,
		Checks: newChecks(),
	}
	w.Server = newServer(w.Now)
	w.Wrote = func() map[string]string {
		return map[string]string{"things": strconv.FormatUint(w.Server.rv, 10)}
	}
	w.Config.Assign = w.assign
	w.SetShards(shards...)
	w.Server.Changed = w.showChange
	return w
}

// Shards are the shards of these names.
func Shards(names ...string) []lease.ShardSpec {
	var specs []lease.ShardSpec
	for _, name := range names {
		specs = append(specs, lease.ShardSpec{Name: name, Kind: "Thing"})
	}
	return specs
}

// SetShards says which shards replicas that start from now on serve.
func (w *World) SetShards(names ...string) { w.Config.Shards = Shards(names...) }

// InstallLayout does what whoever installs a new group may do.
func (w *World) InstallLayout() {
	l := &coordinationv1.Lease{}
	l.Name = lease.LayoutLeaseName(Group)
	l.Labels = map[string]string{lease.LabelGroup: Group, lease.LabelKind: lease.KindLayout}
	w.Server.Create(l)
}

// Now is the true time since the start.
func (w *World) Now() time.Duration { return w.now }

// settling is how long after the network was repaired what was under way then
// may still arrive.
const settling = 100 * time.Millisecond

// severed tells whether something that was sent at a time never arrives, because
// the network was repaired meanwhile.
func (w *World) severed(sent time.Duration) bool {
	return sent < w.healedAt && w.now > w.healedAt+settling
}

// after makes something happen once d has passed.
func (w *World) after(d time.Duration, do func()) { w.agenda.add(w.now+d, do) }

// Run lets d pass.
func (w *World) Run(d time.Duration) { w.Until(d, func() bool { return false }) }

// Until lets time pass until done, at most d; it tells whether done was
// reached, and ends early when something was violated.
func (w *World) Until(d time.Duration, done func() bool) bool {
	end := w.now + d
	for w.Checks.Violation == nil {
		if done() {
			return true
		}
		next, ok := w.agenda.next(end)
		if !ok {
			w.now = end
			return done()
		}
		w.now = max(w.now, next.at)
		next.do()
	}
	return false
}

// Alive are the processes that run now.
func (w *World) Alive() []*Replica {
	alive := make([]*Replica, 0, len(w.Replicas))
	for _, r := range w.Replicas {
		if !r.Gone {
			alive = append(alive, r)
		}
	}
	return alive
}

// Holder is the process that has a valid term of the shard now, or nil.
func (w *World) Holder(shard string) *Replica {
	for _, r := range w.Replicas {
		if r.Holds(shard) {
			return r
		}
	}
	return nil
}

// Holders says who holds each shard, in the order of [World.ShardNames]: "a b a", with -
// for one that nobody holds.
func (w *World) Holders() string {
	var names []string
	for _, shard := range w.ShardNames() {
		name := "-"
		if r := w.Holder(shard); r != nil {
			name = r.Name
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// world is a group of replicas around a model of the API server, on virtual
// time: the very machines that ship, the same events in the same order for the
// same seed. It checks what must always hold after everything that happens.
//
// The files beside this one: the API server (model_server_test.go), a replica
// with its clock, requests and work (model_replica_test.go), its watch
// (model_watch_test.go), what must hold (model_check_test.go) and what goes
// wrong (model_chaos_test.go).
type world struct {
	rng    *rand.Rand
	now    time.Duration // true time since the start
	agenda agenda
	server *modelServer
	// replicas are all processes ever started, in the order of their start.
	replicas []*modelReplica
	config   Config // what all replicas have in common
	faults   faults
	// fate, if set, may decide what becomes of a request in a scenario.
	fate   func(r *modelReplica, op Op) (fate, bool)
	checks checks
	// wrote is what the work of a term says it has written, when it returns.
	wrote func() map[string]string
	// recorded, if set, is told of every step of every machine.
	recorded func(r *modelReplica, now Instant, ev Event, effects []Effect)
	// healedAt is when the network was repaired: what was under way then
	// arrives soon or never.
	healedAt time.Duration

	transcript io.Writer // may be nil
	verbose    bool      // the transcript shows the watch, too
}

const modelGroup = "g"

// newWorld makes a group that nobody has joined. Requests, replies and events
// of the watch take a millisecond each unless faults say otherwise.
func newWorld(seed uint64, timings Timings, shards ...string) *world {
	w := &world{
		rng:    rand.New(rand.NewPCG(seed, 0)),
		server: newModelServer(),
		config: Config{Group: modelGroup, Namespace: "default", Timings: timings},
		faults: calm,
		checks: newChecks(),
	}
	w.wrote = func() map[string]string {
		return map[string]string{"things": strconv.FormatUint(w.server.rv, 10)}
	}
	w.config.Assign = w.assign
	w.setShards(shards...)
	w.server.changed = w.showChange
	return w
}

// specs are the shards of these names.
func specs(shards ...string) []ShardSpec {
	var specs []ShardSpec
	for _, s := range shards {
		specs = append(specs, ShardSpec{Name: s})
	}
	return specs
}

func (w *world) setShards(shards ...string) { w.config.Shards = specs(shards...) }

// installLayout does what whoever installs a new group may do.
func (w *world) installLayout() {
	l := &coordinationv1.Lease{}
	l.Name = LayoutLeaseName(modelGroup)
	l.Labels = map[string]string{LabelGroup: modelGroup, LabelKind: KindLayout}
	w.server.create(w.now, l)
}

// lost tells whether something that was sent at a time never arrives, because
// the network was repaired meanwhile.
func (w *world) lost(sent time.Duration) bool {
	return sent < w.healedAt && w.now > w.healedAt+time.Second
}

// after makes something happen once d has passed.
func (w *world) after(d time.Duration, do func()) { w.agenda.add(w.now+d, do) }

// run lets d pass.
func (w *world) run(d time.Duration) { w.until(d, func() bool { return false }) }

// until lets time pass until done, at most d; it tells whether done was
// reached, and ends early when something was violated.
func (w *world) until(d time.Duration, done func() bool) bool {
	end := w.now + d
	for w.checks.violation == "" {
		if done() {
			return true
		}
		if w.agenda.Len() == 0 || w.agenda.entries[0].at > end {
			w.now = end
			return done()
		}
		next := w.agenda.next()
		w.now = max(w.now, next.at)
		next.do()
	}
	return false
}

// alive are the processes that run now.
func (w *world) alive() []*modelReplica {
	var alive []*modelReplica
	for _, r := range w.replicas {
		if !r.gone {
			alive = append(alive, r)
		}
	}
	return alive
}

// holder is the process that has a valid term of the shard now, or nil.
func (w *world) holder(shard string) *modelReplica {
	for _, r := range w.alive() {
		if r.holds(shard) {
			return r
		}
	}
	return nil
}

// holders says who holds each configured shard, as name:name:..., with - for
// one that nobody holds.
func (w *world) holders() string {
	var names []string
	for _, s := range w.config.Shards {
		name := "-"
		if r := w.holder(s.Name); r != nil {
			name = r.name
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// logf adds a line to the transcript.
func (w *world) logf(who, format string, args ...any) {
	if w.transcript == nil {
		return
	}
	fmt.Fprintf(w.transcript, "%10.3f  %-6s %s\n", w.now.Seconds(), who, fmt.Sprintf(format, args...))
}

// spread is an assignment as simple as one can be: holders keep what they have,
// orphans go to the least loaded, and a shard moves where shares differ by more
// than one.
func spread(s Snapshot) Plan {
	plan, load := Plan{}, map[string]int{}
	live := map[string]Candidate{}
	for _, m := range s.Members {
		live[m.Identity] = m
	}
	var orphans []string
	for _, shard := range s.Shards {
		if m := live[shard.Holder]; m.eligible(shard.Name) {
			plan[shard.Name] = m.Identity
			load[m.Identity]++
		} else {
			orphans = append(orphans, shard.Name)
		}
	}
	for _, shard := range orphans {
		if to, ok := leastLoaded(s.Members, load, shard); ok {
			plan[shard] = to
			load[to]++
		}
	}
	for even := false; !even; {
		even = true
		for _, shard := range s.Shards {
			from := plan[shard.Name]
			if to, ok := leastLoaded(s.Members, load, shard.Name); ok && load[from]-load[to] > 1 {
				plan[shard.Name] = to
				load[from]--
				load[to]++
				even = false
			}
		}
	}
	// Nobody is ready: whoever has a shard keeps it.
	for _, shard := range s.Shards {
		if m := live[shard.Holder]; plan[shard.Name] == "" && m.Can(shard.Name) && !m.Leaving {
			plan[shard.Name] = m.Identity
		}
	}
	return plan
}

func leastLoaded(members []Candidate, load map[string]int, shard string) (identity string, ok bool) {
	could := slices.DeleteFunc(slices.Clone(members), func(m Candidate) bool { return !m.eligible(shard) })
	if len(could) == 0 {
		return "", false
	}
	return slices.MinFunc(could, func(a, b Candidate) int {
		if d := load[a.Identity] - load[b.Identity]; d != 0 {
			return d
		}
		return byPreference(shard, "", a.Identity, b.Identity)
	}).Identity, true
}

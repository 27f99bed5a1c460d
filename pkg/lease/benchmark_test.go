// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// BenchmarkStep is what one replica of a settled group does.
//
//   - tick: time has passed, and nothing is due;
//   - heartbeat: the watch shows that another replica has renewed its session;
//   - renewal: the watch shows that another replica has renewed one shard, which is what
//     lease mode does all the time;
//   - exchange: the watch shows that two others have exchanged a shard, and have it back,
//     so that the plan is made anew twice, here by a trivial assignment (BenchmarkAssign is
//     of the real one);
//   - interval: a whole RenewInterval, with all that the group renews in it: the replica's
//     own requests, their answers, and what the watch shows, of which the machine is given
//     as much at a time as by a [Driver] that finds it waiting.
//
// What the watch shows is made by the benchmark: some allocations for each event are its own.
func BenchmarkStep(b *testing.B) {
	for _, mode := range []Mode{SessionMode, LeaseMode} {
		for _, size := range []struct{ members, shards int }{{3, 10}, {10, 200}, {10, MaxShards}} {
			b.Run(fmt.Sprintf("mode=%s/members=%d/shards=%d", mode, size.members, size.shards), func(b *testing.B) {
				r := newResident(b, mode, size.members, size.shards)
				b.Run("tick", func(b *testing.B) {
					r.measure(b, 0, func(int) { r.step(Tick{}) })
				})
				b.Run("heartbeat", func(b *testing.B) {
					r.measure(b, 0, func(turn int) { r.step(r.renewed(r.members[0], turn)) })
				})
				if mode == LeaseMode {
					b.Run("renewal", func(b *testing.B) {
						r.measure(b, 0, func(turn int) { r.step(r.renewed(r.shards[0], turn)) })
					})
				}
				b.Run("exchange", r.exchange)
				b.Run("interval", func(b *testing.B) {
					r.measure(b, 0, func(turn int) { r.interval(turn) })
				})
			})
		}
	}
}

// resident is a replica of a group whose other members write what the benchmark says.
type resident struct {
	*fuzzWorld
	b               *testing.B
	members, shards []*foreign
	drained         []Event // for the next step
	settled         bool
	plans           int // that the replica made
	epoch           int32
}

// foreign is a Lease that another replica writes.
type foreign struct {
	lease *coordinationv1.Lease
	// attempts are its annotations with one attempt and with another.
	attempts [2]map[string]string
}

// newResident has one replica make all shards, and then share them with others.
func newResident(b *testing.B, mode Mode, members, shards int) *resident {
	b.Helper()
	r := &resident{b: b, epoch: 1000}
	var specs []ShardSpec
	for i := range shards {
		specs = append(specs, ShardSpec{Name: fmt.Sprintf("type-%04d.example.com", i), Kind: "Thing"})
	}
	machine, err := NewElection(Config{
		Group: "g", Namespace: "ns", Replica: replica(0), Timings: Default, Mode: mode, Shards: specs,
		Assign: func(s Snapshot) Plan {
			r.plans++
			return inTurn(s)
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	r.fuzzWorld = &fuzzWorld{tape: &tape{}, machine: machine, revision: 1, now: Instant(time.Hour), leases: map[string]*coordinationv1.Lease{}}
	r.step(r.list(), Reported{Ready: true})
	r.settle(b, shards)
	for i := 1; i < members; i++ {
		r.join(replica(i))
	}
	r.settle(b, (shards+members-1)/members)
	r.settled = true
	r.notice()
	for _, f := range slices.Concat(r.members, r.shards) {
		r.step(r.renewed(f, 0)) // members tell of the load
	}
	return r
}

// replica is the i-th of the group.
func replica(i int) Replica {
	pod := fmt.Sprintf("pod-%d", i)
	return Replica{Pod: pod, UID: types.UID("uid-of-" + pod), Container: "main", Boot: "boot"}
}

// inTurn gives the shards to the members in turn.
func inTurn(s Snapshot) Plan {
	plan := Plan{}
	for i, shard := range s.Shards {
		plan[shard.Name] = s.Members[i%len(s.Members)].Identity
	}
	return plan
}

// join writes the record of another replica, which is like this one's.
func (r *resident) join(other Replica) {
	l := r.leases[r.machine.own].DeepCopy()
	l.Name, l.Spec.HolderIdentity = MemberLeaseName("g", other), ptr.To(Identity{Replica: other, Incarnation: 1}.String())
	r.write(l)
}

// step feeds the machine, which keeps what it holds once it is settled.
func (r *resident) step(events ...Event) {
	for _, effect := range r.machine.Step(r.now, events...) {
		switch effect := effect.(type) {
		case Send:
			r.sent = append(r.sent, effect.Op)
		case Revoked:
			if r.settled {
				r.b.Fatalf("a settled replica loses %s: %s", effect.Term.Shard, effect.Cause)
			}
			r.drained = append(r.drained, Drained{Term: effect.Term})
		}
	}
}

// settle lets time pass until the replica holds so many shards and nothing is under way.
func (r *resident) settle(b *testing.B, want int) {
	b.Helper()
	holds := 0
	for turn := range 200 {
		r.now = r.now.Add(time.Second)
		r.othersAct(turn)
		events := append(r.turn(), r.drained...)
		r.drained = nil
		r.step(events...)
		holds = 0
		for _, c := range r.machine.order {
			if c.phase == held {
				holds++
			}
		}
		if holds == want && len(r.sent)+len(r.drained) == 0 && !r.isReleased() {
			return
		}
	}
	b.Fatalf("the replica holds %d shards, want %d", holds, want)
}

// othersAct has the others renew their Leases, and claim what was released for them.
func (r *resident) othersAct(turn int) {
	for _, name := range slices.Sorted(maps.Keys(r.leases)) {
		l := r.leases[name].DeepCopy()
		preferred := l.Annotations[AnnotationPreferred]
		switch {
		case preferred != "":
			l.Spec.HolderIdentity, l.Spec.LeaseTransitions = &preferred, ptr.To(*l.Spec.LeaseTransitions+1)
			l.Spec.LeaseDurationSeconds = ptr.To(int32(Default.LeaseDuration / time.Second))
		case !r.isForeign(l) || l.Annotations[AnnotationAttempt] == "":
			continue
		}
		l.Annotations = annotate(l.Annotations, map[string]string{AnnotationPreferred: "", AnnotationAttempt: strconv.Itoa(turn)})
		r.write(l)
	}
}

// isReleased tells whether some shard waits for another to claim it.
func (r *resident) isReleased() bool {
	for _, l := range r.leases {
		if l.Annotations[AnnotationPreferred] != "" {
			return true
		}
	}
	return false
}

func (r *resident) isForeign(l *coordinationv1.Lease) bool {
	holder := ptr.Deref(l.Spec.HolderIdentity, "")
	return holder != "" && holder != r.machine.Identity()
}

// notice takes stock of the Leases of others, whose shards all have some load.
func (r *resident) notice() {
	loads := map[string]map[string]int64{}
	for name, l := range r.leases {
		if l.Labels[LabelKind] == KindShard && r.isForeign(l) {
			holder := *l.Spec.HolderIdentity
			if loads[holder] == nil {
				loads[holder] = map[string]int64{}
			}
			loads[holder][name[len("g."):]] = 100
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.leases)) {
		l := r.leases[name]
		if !r.isForeign(l) {
			continue
		}
		f, load := &foreign{lease: l}, ""
		if l.Labels[LabelKind] == KindShard {
			r.shards = append(r.shards, f)
		} else {
			r.members = append(r.members, f)
			load = encodeMap(loads[*l.Spec.HolderIdentity])
		}
		for i := range f.attempts {
			f.attempts[i] = annotate(l.Annotations, map[string]string{AnnotationAttempt: strconv.Itoa(i), AnnotationLoad: load})
		}
	}
}

// anew is a Lease at the next resourceVersion; what it points to is shared.
func (r *resident) anew(l *coordinationv1.Lease) *coordinationv1.Lease {
	r.revision++
	next := *l
	next.ResourceVersion = strconv.FormatUint(r.revision, 10)
	return &next
}

// renewed is what the watch shows of a renewal.
func (r *resident) renewed(f *foreign, turn int) Observed {
	l := r.anew(f.lease)
	l.Annotations = f.attempts[turn%2]
	return Observed{Lease: l}
}

// measure repeats what makes so many plans each time, and leaves the group as it was.
func (r *resident) measure(b *testing.B, plans int, do func(turn int)) {
	b.Helper()
	b.ReportAllocs()
	turns := 0
	r.b, r.plans = b, 0
	for b.Loop() {
		do(turns)
		turns++
	}
	if r.plans != plans*turns {
		b.Fatalf("%d plans were made in %d turns, want %d in each", r.plans, turns, plans)
	}
}

// exchange is of two shards of two others.
func (r *resident) exchange(b *testing.B) {
	b.Helper()
	first := r.shards[0].lease
	i := slices.IndexFunc(r.shards, func(f *foreign) bool { return *f.lease.Spec.HolderIdentity != *first.Spec.HolderIdentity })
	second := r.shards[i].lease
	r.measure(b, 2, func(int) {
		r.step(r.taken(first, second), r.taken(second, first))
		r.step(r.taken(first, first), r.taken(second, second))
	})
}

// taken is what the watch shows when a shard has changed to the holder of another.
func (r *resident) taken(l, by *coordinationv1.Lease) Observed {
	l = r.anew(l)
	r.epoch++
	l.Spec.HolderIdentity, l.Spec.LeaseTransitions = by.Spec.HolderIdentity, ptr.To(r.epoch)
	if l.Annotations[AnnotationSession] != "" {
		l.Annotations = annotate(l.Annotations, map[string]string{AnnotationSession: *l.Spec.HolderIdentity})
	}
	return Observed{Lease: l}
}

// interval lets a RenewInterval pass.
func (r *resident) interval(turn int) {
	r.now = r.now.Add(Default.RenewInterval)
	r.step(Tick{})
	events := r.turn()
	for _, f := range slices.Concat(r.members, r.shards) {
		if f.lease.Annotations[AnnotationAttempt] != "" { // a session's shards are not renewed
			events = append(events, r.renewed(f, turn))
		}
	}
	for some := range slices.Chunk(events, maxBatch) {
		r.step(some...)
	}
}

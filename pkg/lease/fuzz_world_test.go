// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// tape is what the fuzzer chooses, byte by byte; at its end it is all zeros.
type tape struct{ rest []byte }

func (t *tape) done() bool { return len(t.rest) == 0 }

func (t *tape) pick(n int) int {
	if t.done() {
		return 0
	}
	b := int(t.rest[0])
	t.rest = t.rest[1:]
	return b % n
}

func one[T any](t *tape, all ...T) T { return all[t.pick(len(all))] }

// What happens next; the first byte of each event says, together with how much
// later it happens.
const (
	doTick = iota
	doServe
	doShow
	doTurn
	doWrite
	doRemove
	doList
	doLie
	doLieList
	doLieReply
	doBookmark
	doReport
	doConfigure
	doDrain
	doDie
	doLeave
	kinds
)

// fuzzSteps are by how much the clock moves: sometimes backwards.
var fuzzSteps = []time.Duration{
	0, time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond, Fast.RenewInterval, Fast.RenewDeadline - time.Millisecond, Fast.RenewDeadline,
	Fast.LeaseDuration, 10 * Fast.LeaseDuration, 12 * Fast.LeaseDuration, time.Nanosecond, 2 * time.Hour, 1 << 53, -time.Nanosecond, -Fast.RenewInterval, -time.Hour,
}

func do(kind, step byte) byte { return step<<4 | kind }

// fuzzWorld is an API server that does as it should unless the tape wants
// otherwise.
type fuzzWorld struct {
	tape     *tape
	machine  *Election
	now      Instant
	revision uint64
	leases   map[string]*coordinationv1.Lease
	queue    []Observed // what the watch has not shown yet
	sent     []Op       // requests under way, or answered long ago
	terms    []Term
}

// next draws what happens next.
func (w *fuzzWorld) next() []Event {
	first := w.tape.pick(256)
	w.now = max(1, w.now.Add(fuzzSteps[first>>4]))
	switch first & 15 {
	case doServe:
		return w.serve(w.tape.pick(max(1, len(w.sent))))
	case doShow:
		return w.show(1 + w.tape.pick(4))
	case doTurn:
		return w.turn()
	case doWrite:
		w.write(w.lease())
	case doRemove:
		w.remove(w.name())
	case doList:
		return []Event{w.list()}
	case doLie:
		return []Event{Observed{Lease: w.hostile(), Deleted: w.tape.pick(4) == 0}}
	case doLieList:
		lie := Listed{ResourceVersion: w.anyRevision()}
		for range w.tape.pick(4) {
			lie.Leases = append(lie.Leases, w.hostile())
		}
		return []Event{lie}
	case doLieReply:
		return []Event{w.lieReply()}
	case doBookmark:
		return []Event{Progressed{ResourceVersion: w.anyRevision()}}
	case doReport:
		return []Event{Reported{
			Ready:    w.tape.pick(2) == 1,
			Load:     one(w.tape, nil, map[string]int64{"a": math.MinInt64, "?": math.MaxInt64}),
			Problems: one(w.tape, nil, map[string]string{"": strings.Repeat("x", 100)}),
		}}
	case doConfigure:
		revised := Revised{Revision: one(w.tape, int64(0), 7, math.MinInt64), TargetReplicas: one(w.tape, 0, 3, math.MinInt)}
		return []Event{revised, Configured{Shards: one(w.tape, nil, []ShardSpec{{Name: "a"}}, []ShardSpec{{Name: "a"}, {Name: "b"}}, []ShardSpec{{Name: "z", Resource: "zs"}},
			[]ShardSpec{{Name: "a", Buckets: 2}}, []ShardSpec{{Name: "a", Buckets: 3, Partition: ByKey}, {Name: "b"}})}}
	case doDrain:
		return []Event{Drained{Term: w.term(), Wrote: one(w.tape, nil, map[string]string{"a": "7", "": "x"})}}
	case doDie:
		return []Event{Died{Replica: one(w.tape, fuzzReplicas...)}}
	case doLeave:
		return []Event{Leave{}}
	}
	return []Event{Tick{}}
}

// turn answers all that was sent and shows all that was written.
func (w *fuzzWorld) turn() []Event {
	events := []Event{Tick{}}
	for len(w.sent) > 0 {
		events = append(events, w.serve(0)...)
	}
	return append(events, w.show(len(w.queue))...)
}

// serve carries a request out and answers it, or does not.
func (w *fuzzWorld) serve(i int) []Event {
	if len(w.sent) == 0 {
		return []Event{Tick{}}
	}
	op := w.sent[i]
	w.sent = slices.Delete(w.sent, i, i+1)
	l, o := w.carryOut(op)
	return []Event{Replied{ID: op.ID, Outcome: o, Lease: l}}
}

func (w *fuzzWorld) carryOut(op Op) (*coordinationv1.Lease, Outcome) {
	known := w.leases[op.Name]
	switch {
	case op.Verb == Create && known != nil:
		return nil, Conflict
	case op.Verb == Create:
		l := op.Lease.DeepCopy()
		l.UID = types.UID("uid-" + strconv.FormatUint(w.revision, 10))
		l.CreationTimestamp = metav1.Unix(int64(w.revision), 0)
		return w.write(l), OK
	case known == nil:
		return nil, NotFound
	case op.Verb == Get:
		return known, OK
	case op.Lease.UID != known.UID || op.Lease.ResourceVersion != known.ResourceVersion:
		return nil, Conflict
	case op.Verb == Delete:
		w.remove(op.Name)
		return nil, OK
	}
	return w.write(op.Lease.DeepCopy()), OK
}

// write stores a Lease as it is, at the next resourceVersion.
func (w *fuzzWorld) write(l *coordinationv1.Lease) *coordinationv1.Lease {
	w.revision++
	l.ResourceVersion = strconv.FormatUint(w.revision, 10)
	old := w.leases[l.Name]
	w.leases[l.Name] = l
	switch {
	case l.Labels[LabelGroup] == "g":
		w.queue = append(w.queue, Observed{Lease: l})
	case old != nil && old.Labels[LabelGroup] == "g": // it lost its label
		w.queue = append(w.queue, Observed{Lease: at(old, l.ResourceVersion), Deleted: true})
	}
	return l
}

func (w *fuzzWorld) remove(name string) {
	if old := w.leases[name]; old != nil {
		w.revision++
		delete(w.leases, name)
		w.queue = append(w.queue, Observed{Lease: at(old, strconv.FormatUint(w.revision, 10)), Deleted: true})
	}
}

func at(l *coordinationv1.Lease, rv string) *coordinationv1.Lease {
	l = l.DeepCopy()
	l.ResourceVersion = rv
	return l
}

func (w *fuzzWorld) show(n int) []Event {
	var events []Event
	for range min(n, len(w.queue)) {
		events = append(events, w.queue[0])
		w.queue = w.queue[1:]
	}
	return events
}

func (w *fuzzWorld) list() Listed {
	l := Listed{ResourceVersion: strconv.FormatUint(w.revision, 10)}
	for _, name := range w.names() {
		if stored := w.leases[name]; stored != nil && stored.Labels[LabelGroup] == "g" {
			l.Leases = append(l.Leases, stored)
		}
	}
	w.queue = nil
	return l
}

// lieReply answers any request, with anything.
func (w *fuzzWorld) lieReply() Replied {
	r := Replied{
		ID:         uint64(w.tape.pick(256)),
		Outcome:    Outcome(w.tape.pick(6)),
		RetryAfter: one(w.tape, 0, time.Second, -time.Hour, math.MaxInt64),
	}
	if w.tape.pick(2) == 1 {
		r.Lease = w.hostile()
	}
	return r
}

// term is one that is held, or was, or never.
func (w *fuzzWorld) term() Term {
	for _, c := range w.machine.order {
		if c.phase != idle {
			w.terms = append(w.terms, c.term)
		}
	}
	i := w.tape.pick(4)
	if i < 2 && len(w.terms) > i {
		return w.terms[len(w.terms)-1-i]
	}
	return Term{Shard: one(w.tape, "a", "b", "z", "", "a.0-of-2"), UID: w.uid(), Epoch: w.number()}
}

func (w *fuzzWorld) names() []string {
	return []string{
		MemberLeaseName("g", fuzzReplicas[0]), ShardLeaseName("g", "a"), ShardLeaseName("g", "b"), LayoutLeaseName("g"),
		MemberLeaseName("g", fuzzReplicas[1]), ShardLeaseName("g", "z"), "g.", "x.a",
		ShardLeaseName("g", "a.0-of-2"), ShardLeaseName("g", "a.1-of-2"), ShardLeaseName("g", "a.2-of-3"),
	}
}

func (w *fuzzWorld) name() string { return one(w.tape, w.names()...) }

// hostile is a Lease at a resourceVersion that need not be a new one.
func (w *fuzzWorld) hostile() *coordinationv1.Lease { return at(w.lease(), w.anyRevision()) }

func (w *fuzzWorld) anyRevision() string {
	switch w.tape.pick(8) {
	case 0:
		return one(w.tape, "", "0", "-1", "x", "18446744073709551615", "18446744073709551616", "9223372036854775807")
	case 1, 2:
		return strconv.Itoa(w.tape.pick(256))
	}
	w.revision++
	return strconv.FormatUint(w.revision, 10)
}

// lease is one that is stored, or under way, or nothing yet; then a few of its
// fields are set to something that somebody might write.
func (w *fuzzWorld) lease() *coordinationv1.Lease {
	name := w.name()
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{LabelGroup: "g"}}}
	switch w.tape.pick(4) {
	case 0, 1:
		if stored := w.leases[name]; stored != nil {
			l = stored.DeepCopy()
		}
	case 2:
		if i := w.tape.pick(8); i < len(w.sent) && w.sent[i].Lease != nil {
			l = w.sent[i].Lease.DeepCopy()
			l.Name = name
		}
	}
	for range w.tape.pick(6) {
		w.disturb(l)
	}
	return l
}

// disturb changes one field.
func (w *fuzzWorld) disturb(l *coordinationv1.Lease) {
	t := w.tape
	switch t.pick(8) {
	case 0:
		l.Spec.HolderIdentity = one(t, nil, ptr.To(w.identity()))
	case 1:
		l.Spec.LeaseDurationSeconds = one(t, nil, ptr.To(w.number()))
	case 2:
		l.Spec.LeaseTransitions = one(t, nil, ptr.To(w.number()))
	case 3:
		l.Labels = one(t, nil, map[string]string{LabelGroup: "g"}, map[string]string{LabelGroup: "h", LabelKind: KindMember})
	case 4:
		l.UID = w.uid()
	case 5:
		l.Spec.RenewTime = one(t, nil, ptr.To(metav1.NewMicroTime(time.Unix(int64(w.number()), 0))))
	case 6:
		l.CreationTimestamp = metav1.Unix(int64(w.number())<<8, 0)
	case 7:
		l.Annotations = annotate(l.Annotations, map[string]string{w.annotation(): w.value(l)})
	}
}

func (w *fuzzWorld) annotation() string {
	return one(w.tape, AnnotationAttempt, AnnotationEnded, AnnotationRevision, AnnotationReady, AnnotationLeaving, AnnotationServes, AnnotationLoad,
		AnnotationProblems, AnnotationMode, AnnotationSession, AnnotationClaimed, AnnotationDuration, AnnotationPreferred, AnnotationResource,
		AnnotationCarried, AnnotationLayout, annotationHow,
		AnnotationPinned, AnnotationCordoned, AnnotationSealed, AnnotationGeneration, AnnotationPartition, AnnotationLeft, AnnotationBuckets, AnnotationReplicas)
}

func (w *fuzzWorld) value(l *coordinationv1.Lease) string {
	switch w.tape.pick(4) {
	case 0:
		return w.identity()
	case 1:
		return string(l.UID)
	case 2:
		return strconv.Itoa(w.tape.pick(64)) // attempts are small numbers
	}
	return one(w.tape, "", "true", string(LeaseMode), string(SessionMode), "-1h", "2562047h", "NaN", "null", "{", "a,b", "\x00\xff", `{"a":"9"}`, `{"a":-1}`,
		`{"settled":true,"shards":{"a":{"firstUID":"u1"}}}`, `{"settled":true}`,
		`{"settled":true,"families":{"a":{"buckets":2,"by":"uid","generation":9}}}`,
		`{"families":{"a":{"generation":5,"from":[{"buckets":2,"by":"uid"}],"sealing":true}}}`,
		`{"families":{"a":{"buckets":3,"by":"key","generation":3,"from":[{},{"buckets":2,"by":"uid"}]}}}`,
		`{"a":{"buckets":2,"by":"uid"}}`, "uid", "key", "99999999999999999999", "2305843009213693952", strings.Repeat("[", 20_000))
}

func (w *fuzzWorld) identity() string {
	switch i := w.tape.pick(8); i {
	case 0:
		return w.machine.Identity()
	case 1, 2, 3:
		return Identity{Replica: fuzzReplicas[w.tape.pick(3)], Incarnation: uint32(i)}.String()
	case 4:
		return Identity{Replica: fuzzReplicas[1], Incarnation: math.MaxUint32}.String()
	}
	return one(w.tape, "", "foreign", "_._", strings.Repeat("x", 600), "p_u_c.b.01")
}

func (w *fuzzWorld) uid() types.UID { return one(w.tape, "", types.UID("u1"), "u2") }

func (w *fuzzWorld) number() int32 {
	return one(w.tape, 0, 1, 2, 6, -1, math.MinInt32, math.MaxInt32, math.MaxInt32-1, int32(w.tape.pick(32)))
}

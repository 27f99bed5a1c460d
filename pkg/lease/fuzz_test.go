// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// FuzzStep feeds a machine any sequence of events: those of an API server that
// does as it should, with other writers who do as they please, and those that no
// API server would ever send. Whatever comes, the machine does not panic and
// keeps the promises that judge checks.
func FuzzStep(f *testing.F) {
	for _, seed := range fuzzSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script []byte) { runScript(t, script) })
}

// fuzzSeeds are ordinary lives, for the fuzzer to disturb.
var fuzzSeeds = [][]byte{
	script(SessionMode, start, settle),
	script(LeaseMode, start, settle),
	script(SessionMode, start, settle, []byte{do(doLeave, 0), do(doDrain, 0), 0, do(doDrain, 0), 1}, settle),
	script(LeaseMode, start, settle, []byte{do(doLeave, 0), do(doDrain, 0), 0, do(doDrain, 0), 1}, settle),
	script(SessionMode, start, settle, []byte{do(doTick, 6)}, settle),                                       // a lapse, and the next session
	script(LeaseMode, start, settle, []byte{do(doWrite, 1), 1, 2, 1, 0, 5, 0}, settle),                      // somebody takes a shard
	script(LeaseMode, start, settle, []byte{do(doRemove, 1), 2}, settle),                                    // a Lease is deleted
	script(SessionMode, start, settle, []byte{do(doConfigure, 1), 0, 0, 1, do(doDrain, 1)}, settle),         // a shard is removed
	script(SessionMode, start, settle, []byte{do(doConfigure, 1), 0, 0, 4, do(doDrain, 1)}, settle, settle), // and one is divided
	script(LeaseMode, start, settle, []byte{do(doConfigure, 1), 0, 0, 5, do(doDrain, 1)}, settle, settle),
	script(LeaseMode, start, settle, []byte{do(doDie, 0), 3}, settle),
}

var (
	start  = []byte{do(doList, 1), do(doReport, 1), 1, do(doTurn, 2), do(doTurn, 2), do(doTurn, 2), do(doTurn, 2)}
	settle = slices.Repeat([]byte{do(doTurn, 4)}, 12)
)

func script(m Mode, parts ...[]byte) []byte {
	all := []byte{0}
	if m == LeaseMode {
		all[0] = 1
	}
	return append(all, slices.Concat(parts...)...)
}

// The seeds are worth something only if terms begin and end in them.
func TestFuzzSeedsMakeTerms(t *testing.T) {
	for i, seed := range fuzzSeeds {
		if j := runScript(t, seed); j.granted < 2 {
			t.Errorf("seed %d: %d terms began, want both shards to be held", i, j.granted)
		}
	}
}

// maxScript bounds the events of one run.
const maxScript = 400

func runScript(t *testing.T, script []byte) *judge {
	t.Helper()
	tape := &tape{rest: script}
	mode := SessionMode
	if tape.pick(2) == 1 {
		mode = LeaseMode
	}
	machine, err := NewElection(Config{
		Group: "g", Namespace: "ns", Replica: fuzzReplicas[0], Timings: Fast, Mode: mode, Assign: evenly,
		Shards: []ShardSpec{{Name: "a"}, {Name: "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &fuzzWorld{tape: tape, machine: machine, revision: 1, now: Instant(time.Hour), leases: map[string]*coordinationv1.Lease{}}
	j := newJudge(t, machine)
	for range maxScript {
		if tape.done() || t.Failed() {
			break
		}
		for _, ev := range w.next() {
			w.sent = append(w.sent, j.step(w.now, ev)...)
		}
		// The driver would call at the Deadline: that must lead somewhere.
		for range maxSpins {
			if at := machine.Deadline(); at == 0 || at > j.now {
				break
			}
			w.sent = append(w.sent, j.step(w.now, Tick{})...)
		}
		if at := machine.Deadline(); at != 0 && at <= j.now {
			t.Errorf("it asks to be called at %d again and again, and it is %d", at, j.now)
		}
	}
	j.checkUntouched()
	return j
}

// maxSpins is how often the machine may ask for another Tick at once.
const maxSpins = 4

// judge stands between the machine and the world. It knows what the machine was
// told, and checks what it says by that alone.
type judge struct {
	t       *testing.T
	machine *Election
	now     Instant // the latest that the machine was told

	told    []*coordinationv1.Lease // all Leases it was told of, in order
	copies  []*coordinationv1.Lease // as they were
	pending map[uint64]Op
	// attempts says when each numbered write of a Lease was sent.
	attempts map[string]map[string]Instant
	live     map[string]Term
	ended    map[string]endedTerm
	drained  map[string]Term // what Drained said of the live term
	granted  int
	left     bool
}

func newJudge(t *testing.T, machine *Election) *judge {
	return &judge{
		t: t, machine: machine, pending: map[uint64]Op{}, attempts: map[string]map[string]Instant{},
		live: map[string]Term{}, ended: map[string]endedTerm{}, drained: map[string]Term{},
	}
}

// step hands an event to the machine and returns the requests it wants sent.
func (j *judge) step(now Instant, ev Event) []Op {
	j.now = max(j.now, now)
	j.learn(ev)
	attempts := j.machine.attempts
	effects := j.machine.Step(now, ev)
	j.checkNumber(effects)
	var ops []Op
	for _, effect := range effects {
		if j.left {
			j.t.Errorf("it has left, and yet: %+v", effect)
		}
		switch effect := effect.(type) {
		case Send:
			j.checkSend(effect.Op)
			j.remember(effect.Op, attempts)
			ops = append(ops, effect.Op)
		case Extended:
			j.checkExtended(effect)
		case Granted:
			j.checkGranted(effect.Term)
		case Revoked:
			j.checkRevoked(effect)
		case Passed:
			j.checkPassed(effect)
		case Left:
			j.left = true
		}
	}
	if j.machine.Valid(j.now) && j.newestAttempt(j.machine.own).Add(Fast.RenewDeadline) <= j.now {
		j.t.Error("the session is valid although its last heartbeat was sent a RenewDeadline ago")
	}
	return ops
}

// learn remembers what an event tells.
func (j *judge) learn(ev Event) {
	tell := func(leases ...*coordinationv1.Lease) {
		for _, l := range leases {
			if l != nil {
				j.told, j.copies = append(j.told, l), append(j.copies, l.DeepCopy())
			}
		}
	}
	switch ev := ev.(type) {
	case Listed:
		tell(ev.Leases...)
	case Observed:
		tell(ev.Lease)
	case Replied:
		tell(ev.Lease)
		delete(j.pending, ev.ID)
	case Drained:
		if live, ok := j.live[ev.Term.Shard]; ok && live.UID == ev.Term.UID && live.Epoch == ev.Term.Epoch {
			j.drained[ev.Term.Shard] = live
		}
	}
}

// checkNumber bounds what one event can bring about.
func (j *judge) checkNumber(effects []Effect) {
	if limit := 8 * (len(j.machine.claims) + len(j.machine.view.leases) + 2); len(effects) > limit {
		j.t.Errorf("one event has %d effects, more than %d", len(effects), limit)
	}
}

// checkSend: there is one request under way on one Lease.
func (j *judge) checkSend(op Op) {
	for _, other := range j.pending {
		if other.Name == op.Name {
			j.t.Errorf("%s %s (%s) is sent while %s (%s) is under way", op.Verb, op.Name, op.Why, other.Verb, other.Why)
		}
	}
	j.pending[op.ID] = op
}

// remember takes down when an attempt was sent. A write that is no renewal may
// carry a number too, that of the last or one that somebody else has written.
func (j *judge) remember(op Op, before uint64) {
	if op.Lease == nil {
		return
	}
	number := op.Lease.Annotations[AnnotationAttempt]
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n <= before || n > j.machine.attempts {
		return
	}
	if j.attempts[op.Name] == nil {
		j.attempts[op.Name] = map[string]Instant{}
	}
	j.attempts[op.Name][number] = j.now
}

// checkExtended: validity counts from the send of an attempt (R9).
func (j *judge) checkExtended(e Extended) {
	name := j.machine.own
	if e.Until == 0 {
		j.checkClosed(e.Shard)
		return
	}
	if e.Shard != "" {
		name = ShardLeaseName("g", e.Shard)
	}
	for _, sent := range j.attempts[name] {
		if sent.Add(Fast.RenewDeadline) == e.Until {
			return
		}
	}
	j.t.Errorf("the validity of %q is extended until %d, which is no attempt's send and a RenewDeadline: %v", name, e.Until, j.attempts[name])
}

func (j *judge) newestAttempt(name string) (newest Instant) {
	for _, sent := range j.attempts[name] {
		newest = max(newest, sent)
	}
	return newest
}

// checkGranted: a term begins on a record alone, that names this session, at an
// epoch above those that are over.
func (j *judge) checkGranted(term Term) {
	j.granted++
	if live, ok := j.live[term.Shard]; ok {
		if live.Mode == LeaseMode {
			j.t.Errorf("%+v begins while %+v is held", term, live)
		}
		j.checkClosed(term.Shard)
	}
	if ended := j.ended[term.Shard]; ended.uid == term.UID && term.Epoch <= ended.epoch {
		j.t.Errorf("epoch %d of shard %s begins although epoch %d is over", term.Epoch, term.Shard, ended.epoch)
	}
	if !j.machine.Valid(j.now) || term.Identity != j.machine.Identity() {
		j.t.Errorf("a term of %s begins, and %s is valid: %t", term.Identity, j.machine.Identity(), j.machine.Valid(j.now))
	}
	if !slices.ContainsFunc(j.told, func(l *coordinationv1.Lease) bool { return j.allows(l, term) }) {
		j.t.Errorf("no record that it was told of allows the term %+v", term)
	}
	j.live[term.Shard] = term
}

// allows tells whether a record allows a term.
func (j *judge) allows(l *coordinationv1.Lease, term Term) bool {
	names := l.Name == ShardLeaseName("g", term.Shard) && l.UID == term.UID && l.UID != "" && l.Labels[LabelGroup] == "g" &&
		l.Annotations[AnnotationClaimed] == string(l.UID) &&
		ptr.Deref(l.Spec.HolderIdentity, "") == term.Identity && max(0, ptr.Deref(l.Spec.LeaseTransitions, 0)) == term.Epoch
	if !names || term.Mode == SessionMode {
		return names && l.Annotations[AnnotationSession] == term.Identity
	}
	sent, ok := j.attempts[l.Name][l.Annotations[AnnotationAttempt]]
	return ok && j.now < sent.Add(Fast.RenewDeadline)
}

func (j *judge) checkRevoked(r Revoked) {
	if live, ok := j.live[r.Term.Shard]; !ok || !reflect.DeepEqual(live, r.Term) {
		j.t.Errorf("%+v is revoked, and the term is %+v", r, live)
	}
	if !r.Graceful {
		j.end(r.Term)
	}
}

// checkClosed: a term whose work has ended may be over without a word. (Only
// the validity of one that is renewed by itself has to be ended.)
func (j *judge) checkClosed(shard string) {
	live, ok := j.live[shard]
	if !ok || !reflect.DeepEqual(j.drained[shard], live) {
		j.t.Errorf("the term %+v is over, and its work has not ended", live)
	}
	j.end(live)
}

// checkPassed: a shard is given away once its work has ended.
func (j *judge) checkPassed(p Passed) {
	if live, ok := j.live[p.Term.Shard]; !ok || !reflect.DeepEqual(live, p.Term) {
		j.t.Errorf("%+v, and the term is %+v", p, live)
	}
	if !reflect.DeepEqual(j.drained[p.Term.Shard], p.Term) {
		j.t.Errorf("%+v, and its work has not ended", p)
	}
	j.end(p.Term)
}

func (j *judge) end(term Term) {
	j.ended[term.Shard] = endedTerm{uid: term.UID, epoch: term.Epoch}
	delete(j.live, term.Shard)
	delete(j.drained, term.Shard)
}

// checkUntouched: what the machine is told belongs to others too.
func (j *judge) checkUntouched() {
	for i, l := range j.told {
		if !reflect.DeepEqual(l, j.copies[i]) {
			j.t.Errorf("it changed a Lease that it was told of:\n%+v\n%+v", l, j.copies[i])
		}
	}
}

// fuzzReplicas are this one, another, one restarted in this one's Pod, and one
// that cannot be.
var fuzzReplicas = []Replica{
	{Pod: "p", UID: "u", Container: "c", Boot: "b"},
	{Pod: "q", UID: "v", Container: "c", Boot: "d"},
	{Pod: "p", UID: "u", Container: "c", Boot: "e"},
	{Pod: "_", UID: types.UID(strings.Repeat("x", 300)), Container: ".", Boot: ""},
}

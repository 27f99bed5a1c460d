// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// TestChecksFindWhatIsWrong makes a settled group do what no replica may, and
// names the kind of violation that has to be found.
func TestChecksFindWhatIsWrong(t *testing.T) {
	term := func(holder *Replica) lease.Term { return holder.Terms["s1"].Term }
	giveAway := func(w *World, to string, epoch int32) lease.Op {
		l := w.Server.Lease(lease.ShardLeaseName(Group, "s1")).DeepCopy()
		l.Spec.HolderIdentity = &to
		l.Spec.LeaseTransitions = &epoch
		return lease.Op{ID: 1000, Verb: lease.Update, Name: l.Name, Lease: l}
	}
	for _, test := range []struct {
		name, want string
		do         func(w *World, holder, other *Replica)
	}{
		{"two hold a shard", "exclusion", func(_ *World, holder, other *Replica) {
			mine := term(holder)
			mine.Identity, mine.Epoch, mine.Token = other.Identity, mine.Epoch+1, mine.Token+1
			other.do(lease.Granted{Term: mine})
		}},
		{"a token that does not rise", "token", func(_ *World, holder, _ *Replica) {
			again := term(holder)
			holder.end(again)
			holder.do(lease.Granted{Term: again})
		}},
		{"a term of another session", "order", func(_ *World, holder, other *Replica) { other.do(lease.Granted{Term: term(holder)}) }},
		{"a term that ends twice", "order", func(_ *World, holder, _ *Replica) {
			mine := term(holder)
			holder.do(lease.Revoked{Term: mine})
			holder.do(lease.Revoked{Term: mine})
		}},
		{"a validity from the future", "validity", func(_ *World, holder, _ *Replica) {
			holder.do(lease.Extended{Until: holder.now().Add(time.Hour)})
		}},
		{"given away while work goes on", "hand-over", func(w *World, holder, other *Replica) { holder.do(lease.Send{Op: giveAway(w, other.Identity, 2)}) }},
		{"taken from a session that goes on", "take-over", func(w *World, _, other *Replica) { other.do(lease.Send{Op: giveAway(w, other.Identity, 2)}) }},
		{"two requests on one Lease", "order", func(_ *World, holder, _ *Replica) {
			op := lease.Op{ID: 1000, Verb: lease.Get, Name: "g.s1"}
			holder.do(lease.Send{Op: op})
			holder.do(lease.Send{Op: op})
		}},
		{"an update without a resourceVersion", "compare-and-swap", func(w *World, holder, _ *Replica) {
			l := w.Server.Lease(lease.MemberLeaseName(Group, holder.Process)).DeepCopy()
			l.ResourceVersion = ""
			holder.do(lease.Send{Op: lease.Op{ID: 1000, Verb: lease.Update, Name: l.Name, Lease: l}})
		}},
		{"a session that takes back that it was ended", "session", func(_ *World, holder, _ *Replica) {
			holder.w.checkStaysEnded(holder, lease.Member{Holder: "a", Ended: "a"}, lease.Member{Holder: "a"})
		}},
		{"handed over without what was written", "carried", func(w *World, holder, other *Replica) {
			mine := term(holder)
			holder.wrote[keyOf(mine)] = map[string]string{"things": "7"}
			holder.end(mine)
			holder.do(lease.Passed{Term: mine})
			mine.Identity, mine.Epoch, mine.How = other.Identity, mine.Epoch+1, lease.CauseTransfer
			w.checkCarried(other, mine)
		}},
		{"given to one that is not ready", "successor", func(w *World, holder, other *Replica) {
			other.Deliver(lease.Reported{})
			w.Run(time.Minute)
			w.checkGives(holder, lease.Revoked{Term: term(holder), Graceful: true, Successor: other.Identity})
		}},
		{"given to an older revision", "successor", func(w *World, holder, other *Replica) {
			holder.Config.Revision = 1
			w.checkGives(holder, lease.Revoked{Term: term(holder), Graceful: true, Cause: lease.CauseBalance, Successor: other.Identity})
		}},
		{"held while the standard rules let another take it", "exclusion", func(w *World, _, _ *Replica) {
			w.checkForeign(lease.ShardLeaseName(Group, "s1"))
		}},
		{"a write sent after the work has ended", "fence", func(_ *World, holder, _ *Replica) {
			over := holder.tenures[keyOf(term(holder))]
			over.drained = true
			over.checkSent(object{key: "s1-1"})
		}},
		{"a write sent past the validity", "fence", func(_ *World, holder, _ *Replica) {
			holder.promised.session = holder.now()
			holder.tenures[keyOf(term(holder))].checkSent(object{key: "s1-1"})
		}},
		{"a write of a term that is over", "fence", func(_ *World, holder, _ *Replica) {
			mine := term(holder)
			holder.end(mine)
			holder.tenures[keyOf(mine)].checkSent(object{key: "s1-1"})
		}},
		{"begun with something else than the last term left", "ledger", func(w *World, holder, other *Replica) {
			mine := term(holder)
			mine.Identity, mine.Epoch, mine.Ledger = other.Identity, mine.Epoch+1, "something else"
			w.checkLedger(other, lease.Granted{Term: mine})
		}},
		{"begun with less than was confirmed", "ledger", func(w *World, holder, other *Replica) {
			mine := term(holder)
			holder.Deliver(lease.Enter{ID: 1, Term: mine, Text: "on record"})
			w.Run(time.Second)
			mine.Identity, mine.Epoch = other.Identity, mine.Epoch+1
			w.checkLedger(other, lease.Granted{Term: mine})
		}},
		{"an entry confirmed that is not on record", "ledger", func(w *World, holder, _ *Replica) {
			w.noteLedger(holder, lease.Enter{ID: 1, Term: term(holder), Text: "never sent"})
			w.checkLedger(holder, lease.Entered{ID: 1, OK: true})
		}},
		{"an entry answered twice", "ledger", func(w *World, holder, _ *Replica) {
			w.noteLedger(holder, lease.Enter{ID: 1, Term: term(holder), Text: "never sent"})
			w.checkLedger(holder, lease.Entered{ID: 1})
			w.checkLedger(holder, lease.Entered{ID: 1})
		}},
		{"an entry that is never answered", "ledger", func(w *World, holder, _ *Replica) {
			w.noteLedger(holder, lease.Enter{ID: 1, Term: term(holder), Text: "never sent"})
			w.checkAnswered()
		}},
		{"a ledger written by one that does not hold the shard", "ledger", func(w *World, _, other *Replica) {
			w.writing = other
			w.Server.Edit(lease.ShardLeaseName(Group, "s1"), func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationLedger] = "mine" })
		}},
		{"given away without the last word", "ledger", func(w *World, holder, other *Replica) {
			last := "the last word"
			w.noteLedger(holder, lease.Drained{Term: term(holder), Ledger: &last})
			w.checkLedger(holder, lease.Passed{Term: term(holder)})
			w.writing = holder
			op := giveAway(w, other.Identity, 2)
			w.Server.Do(op)
		}},
		{"a Lease made anew without what was seen of the last", "ledger", func(w *World, holder, other *Replica) {
			holder.Deliver(lease.Enter{ID: 1, Term: term(holder), Text: "on record"})
			w.Run(time.Second)
			l := w.Server.Lease(lease.ShardLeaseName(Group, "s1")).DeepCopy()
			w.Server.Remove(l.Name)
			delete(l.Annotations, lease.AnnotationLedger)
			w.writing = other
			w.Server.Create(l)
		}},
		{"a term of a family that is declined", "declined", func(w *World, holder, _ *Replica) {
			holder.declines = map[string]lease.Cause{"s1": lease.CauseUnfit}
			w.checkReluctance(holder, lease.Granted{Term: term(holder)})
		}},
		{"moved for balance while it is busy", "declined", func(w *World, holder, _ *Replica) {
			holder.busy = map[string]bool{"s1": true}
			w.checkReluctance(holder, lease.Revoked{Term: term(holder), Graceful: true, Cause: lease.CauseBalance})
		}},
		{"given to one that declines", "successor", func(w *World, holder, other *Replica) {
			other.decline("s1", lease.CauseUnfit)
			w.Run(time.Minute)
			w.checkGives(holder, lease.Revoked{Term: term(holder), Graceful: true, Successor: other.Identity})
		}},
		{"left while it holds a shard", "leaving", func(_ *World, holder, _ *Replica) { holder.do(lease.Left{}) }},
		{"a machine that panics", "panic", func(_ *World, holder, _ *Replica) { holder.Deliver(lease.Observed{}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := New(1, lease.Default, "s1")
			w.ledgers = true
			w.InstallLayout()
			holder, other := w.Start("a"), w.Start("b")
			w.Run(5 * time.Second)
			if w.Holder("s1") != holder {
				holder, other = other, holder
			}
			if v := w.Checks.Violation; v != nil {
				t.Fatalf("before anything is wrong: %s", v)
			}
			test.do(w, holder, other)
			if v := w.Checks.Violation; v == nil || v.Kind != test.want {
				t.Errorf("found %v, want %q", v, test.want)
			}
		})
	}
}

// Beyond the bound two holders are counted, once for each pair of terms.
func TestOverlapsAreCountedBeyondTheBound(t *testing.T) {
	w := New(1, lease.Default, "s1")
	w.Checks.beyond = true
	w.InstallLayout()
	a, b := w.Start("a"), w.Start("b")
	w.Run(5 * time.Second)
	if w.Holder("s1") == b {
		a, b = b, a
	}
	mine := a.Terms["s1"].Term
	mine.Identity, mine.Epoch = b.Identity, mine.Epoch+1
	b.do(lease.Granted{Term: mine})
	w.checkExclusion()
	if w.Checks.Overlaps != 1 || w.Checks.Violation != nil {
		t.Errorf("%d overlaps, violation %v; want one overlap and none", w.Checks.Overlaps, w.Checks.Violation)
	}
}

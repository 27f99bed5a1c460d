// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"testing"
	"time"

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
		{"left while it holds a shard", "leaving", func(_ *World, holder, _ *Replica) { holder.do(lease.Left{}) }},
		{"a machine that panics", "panic", func(_ *World, holder, _ *Replica) { holder.Deliver(lease.Observed{}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := New(1, lease.Default, "s1")
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

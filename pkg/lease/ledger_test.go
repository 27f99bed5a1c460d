// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/internal/leasetest"
)

// holdsAll waits until the peer holds the four shards, and returns its term of one.
func (p *peer) holdsAll(t *testing.T) Term {
	t.Helper()
	eventually(t, 30*time.Second, p.name+" holds everything", func() bool { return len(p.holds()) == 4 })
	return p.termOf("a")
}

// termOf is its newest term of a shard.
func (p *peer) termOf(shard string) (term Term) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.granted {
		if one.Shard == shard {
			term = one
		}
	}
	return term
}

// soon bounds an entry on virtual time.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func bothModes(t *testing.T, test func(t *testing.T, mode Mode)) {
	t.Helper()
	for _, mode := range []Mode{SessionMode, LeaseMode} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, mode) })
		})
	}
}

func TestNextHolderBeginsWithTheEntry(t *testing.T) {
	bothModes(t, func(t *testing.T, mode Mode) {
		var store leasetest.Store
		var cut atomic.Bool
		a := startPeerIn(t, mode, store.Client("a", untilEndIf(&cut)), Fast, "a", 0)
		if err := a.driver.Enter(soon(t), a.holdsAll(t), "step 1"); err != nil {
			t.Fatal(err)
		}
		if got := DecodeShard(store.Lease("g.a")).Ledger; got != "step 1" {
			t.Errorf("the record says %q", got)
		}
		cut.Store(true) // as if it had crashed
		b := startPeerIn(t, mode, store.Client("b", nil), Fast, "b", 0)
		if got := b.holdsAll(t); got.Ledger != "step 1" || podOf(got.From) != "a" {
			t.Errorf("the next holder begins with %q, from %q", got.Ledger, got.From)
		}
		cut.Store(false)
		a.stop(t)
		b.stop(t)
	})
}

// What the work says last goes with the shard, without a request of its own.
func TestLastWordGoesWithTheShard(t *testing.T) {
	bothModes(t, func(t *testing.T, mode Mode) {
		var store leasetest.Store
		word := "last"
		a := startPeerIn(t, mode, store.Client("a", nil), Fast, "a", time.Second)
		a.word = &word
		if err := a.driver.Enter(soon(t), a.holdsAll(t), "step 1"); err != nil {
			t.Fatal(err)
		}
		b := startPeerIn(t, mode, store.Client("b", nil), Fast, "b", 0)
		time.Sleep(5 * time.Second)
		a.leave()
		if err := <-a.result; err != nil {
			t.Fatal(err)
		}
		if got := b.holdsAll(t).Ledger; got != "last" {
			t.Errorf("the next holder begins with %q", got)
		}
		b.stop(t)
	})
}

// The reply to an entry is lost, but the watch shows it.
func TestEntryIsConfirmedWithoutAReply(t *testing.T) {
	bothModes(t, func(t *testing.T, mode Mode) {
		var store leasetest.Store
		client := deaf{store.Client("a", nil), &atomic.Bool{}}
		a := startPeerIn(t, mode, client, Fast, "a", 0)
		held := a.holdsAll(t)
		client.deaf.Store(true)
		if err := a.driver.Enter(soon(t), held, "step 1"); err != nil {
			t.Error(err)
		}
		client.deaf.Store(false)
		a.stop(t)
	})
}

// Entries that fail are repeated for as long as the term goes on, and no longer.
func TestEntryIsRepeatedUntilTheTermIsOver(t *testing.T) {
	bothModes(t, func(t *testing.T, mode Mode) {
		var store leasetest.Store
		var failing, cut atomic.Bool
		a := startPeerIn(t, mode, store.Client("a", func(ctx context.Context, verb string) error {
			if failing.Load() && verb == "update" {
				return apierrors.NewInternalError(errors.New("broken"))
			}
			return untilEndIf(&cut)(ctx, verb)
		}), Fast, "a", 0)
		held := a.holdsAll(t)
		failing.Store(true)
		time.AfterFunc(Fast.RenewInterval, func() { failing.Store(false) })
		if err := a.driver.Enter(soon(t), held, "step 1"); err != nil {
			t.Errorf("after errors that passed: %v", err)
		}
		cut.Store(true)
		began := time.Now()
		if err := a.driver.Enter(soon(t), held, "step 2"); !errors.Is(err, ErrNotEntered) || time.Since(began) > Fast.RenewDeadline {
			t.Errorf("without an API server, after %s: %v", time.Since(began), err)
		}
		cut.Store(false)
		if got := a.holdsAll(t).Ledger; got != "step 1" && got != "step 2" {
			t.Errorf("its next term begins with %q", got)
		}
		if err := a.driver.Enter(soon(t), held, "late"); !errors.Is(err, ErrNotEntered) {
			t.Errorf("for a term that is over: %v", err)
		}
		if got := DecodeShard(store.Lease("g.a")).Ledger; got == "late" {
			t.Error("an entry of a term that was over is on record")
		}
		a.stop(t)
	})
}

func TestEntryIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		a := startPeer(t, &store, "a", 0, nil)
		held := a.holdsAll(t)
		if err := a.driver.Enter(soon(t), held, strings.Repeat("x", MaxLedger+1)); !errors.Is(err, ErrNotEntered) {
			t.Errorf("too long: %v", err)
		}
		if err := a.driver.Enter(soon(t), Term{Shard: "a", UID: held.UID, Epoch: held.Epoch + 1}, "x"); !errors.Is(err, ErrNotEntered) {
			t.Errorf("of a term that there never was: %v", err)
		}
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if err := a.driver.Enter(done, held, "x"); !errors.Is(err, ErrNotEntered) || !errors.Is(err, context.Canceled) {
			t.Errorf("of who does not wait: %v", err)
		}
		a.stop(t)
		if err := a.driver.Enter(soon(t), held, "x"); !errors.Is(err, ErrNotEntered) {
			t.Errorf("after it has left: %v", err)
		}
	})
}

// An entry in the place of one that was not answered is the one that counts, whichever
// of the two is carried out first.
func TestLaterEntryTakesThePlace(t *testing.T) {
	bothModes(t, func(t *testing.T, mode Mode) {
		var store leasetest.Store
		var slow atomic.Bool
		a := startPeerIn(t, mode, store.Client("a", func(_ context.Context, verb string) error {
			if slow.Load() && verb == "update" {
				time.Sleep(300 * time.Millisecond)
			}
			return nil
		}), Fast, "a", 0)
		held := a.holdsAll(t)
		if err := a.driver.Enter(soon(t), held, "same"); err != nil {
			t.Fatal(err)
		}
		slow.Store(true)
		first := make(chan error, 1)
		go func() { first <- a.driver.Enter(soon(t), held, "other") }()
		time.Sleep(100 * time.Millisecond) // it is under way
		if err := a.driver.Enter(soon(t), held, "same"); err != nil {
			t.Errorf("the later one: %v", err)
		}
		if err := <-first; !errors.Is(err, ErrNotEntered) {
			t.Errorf("the earlier one: %v", err)
		}
		time.Sleep(2 * time.Second)
		if got := DecodeShard(store.Lease("g.a")).Ledger; got != "same" {
			t.Errorf("the record says %q after an entry of \"same\" was confirmed", got)
		}
		slow.Store(false)
		a.stop(t)
	})
}

// Somebody deletes the Lease: what was on record goes on in the next one.
func TestLedgerSurvivesItsLease(t *testing.T) {
	bothModes(t, func(t *testing.T, mode Mode) {
		var store leasetest.Store
		client := store.Client("a", nil)
		a := startPeerIn(t, mode, client, Fast, "a", 0)
		held := a.holdsAll(t)
		if err := a.driver.Enter(soon(t), held, "step 1"); err != nil {
			t.Fatal(err)
		}
		if err := client.Delete(t.Context(), "g.a", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "it holds the next Lease", func() bool { return a.termOf("a").UID != held.UID })
		if got := a.termOf("a").Ledger; got != "step 1" {
			t.Errorf("the next term begins with %q", got)
		}
		a.stop(t)
	})
}

// The next Lease is made by somebody who has seen less of the last one: whoever has seen
// more says so before it is claimed.
func TestLedgerOfADeletedLeaseIsTheNewestThatWasSeen(t *testing.T) {
	for _, tc := range []struct{ name, ledger, asOf, want string }{
		{"nothing", "", "", "step 2"},
		{"an older one", "step 1", "2", "step 2"},
		{"a later one", "step 3", "1000", "step 3"},
		{"by hand", "reset", "", "reset"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, mode Mode) {
				var store leasetest.Store
				a := startPeerIn(t, mode, store.Client("a", nil), Fast, "a", 0)
				held := a.holdsAll(t)
				if err := a.driver.Enter(soon(t), held, "step 2"); err != nil {
					t.Fatal(err)
				}
				made := shardLeaseAt("g.a", "", "", tc.ledger)
				made.Annotations[AnnotationLedgerAsOf] = tc.asOf
				hand := store.Client("hand", nil)
				if err := hand.Delete(t.Context(), "g.a", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				if _, err := hand.Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if got := DecodeShard(store.Lease("g.a")); got.Claimed || got.Ledger != tc.want {
					t.Errorf("before its first claim the next Lease says %q (claimed: %t), want %q", got.Ledger, got.Claimed, tc.want)
				}
				eventually(t, 30*time.Second, "it holds the next Lease", func() bool { return a.termOf("a").UID != held.UID })
				if got := a.termOf("a").Ledger; got != tc.want {
					t.Errorf("the next term begins with %q, want %q", got, tc.want)
				}
				if _, left := store.Lease("g.a").Annotations[AnnotationLedgerAsOf]; left {
					t.Error("a Lease that was claimed tells of the one before")
				}
				a.stop(t)
			})
		})
	}
}

// Who resets a ledger by hand is not overruled by what a deleted Lease said.
func TestLedgerIsResetByHand(t *testing.T) {
	s := newView("g")
	s.put(1, shardLeaseAt("g.a", "uid-1", "5", "old"))
	s.drop("g.a")
	fresh := shardLeaseAt("g.a", "uid-2", "7", "")
	s.restoreLedger(fresh)
	if fresh.Annotations[AnnotationLedger] != "old" {
		t.Errorf("a new Lease begins with %q", fresh.Annotations[AnnotationLedger])
	}
	written := shardLeaseAt("g.a", "uid-2", "8", "by hand")
	s.restoreLedger(written)
	if written.Annotations[AnnotationLedger] != "by hand" {
		t.Errorf("what is on record became %q", written.Annotations[AnnotationLedger])
	}
}

func shardLeaseAt(name, uid, resourceVersion, ledger string) *coordinationv1.Lease {
	l := leaseAt(name, resourceVersion)
	l.UID = types.UID(uid)
	l.Labels = map[string]string{LabelGroup: "g", LabelKind: KindShard}
	l.Annotations = annotate(nil, map[string]string{AnnotationLedger: ledger, AnnotationClaimed: uid})
	return l
}

// A Lease that was replaced by one of its name before anybody was shown its end.
func TestLedgerSurvivesALeaseWhoseEndWasNotShown(t *testing.T) {
	s := newView("g")
	s.put(1, shardLeaseAt("g.a", "uid-1", "5", "old"))
	s.put(2, shardLeaseAt("g.a", "uid-2", "7", ""))
	fresh := shardLeaseAt("g.a", "uid-2", "7", "")
	s.restoreLedger(fresh)
	if got := fresh.Annotations[AnnotationLedger]; got != "old" {
		t.Errorf("the next Lease begins with %q", got)
	}
}

// What the next Lease of a deleted one was made with, by somebody who had seen less, is no
// news when that is deleted, too.
func TestLedgerIsNotForgottenForAnOlderOne(t *testing.T) {
	s := newView("g")
	s.put(1, shardLeaseAt("g.a", "uid-1", "5", "new"))
	s.drop("g.a")
	brought := shardLeaseAt("g.a", "uid-2", "7", "old")
	brought.Annotations[AnnotationClaimed], brought.Annotations[AnnotationLedgerAsOf] = "", "4"
	s.put(2, brought)
	s.drop("g.a")
	fresh := shardLeaseAt("g.a", "uid-3", "9", "")
	s.restoreLedger(fresh)
	if got := fresh.Annotations[AnnotationLedger]; got != "new" {
		t.Errorf("the next Lease begins with %q", got)
	}
}

// A ledger that somebody has blown up is not one that says nothing.
func TestLedgerThatIsTooLongIsCutOff(t *testing.T) {
	l := shardLeaseAt("g.a", "uid-1", "5", strings.Repeat("x", MaxLedger+1))
	if got := DecodeShard(l).Ledger; got != strings.Repeat("x", MaxLedger) {
		t.Errorf("it says %d bytes, want %d", len(got), MaxLedger)
	}
}

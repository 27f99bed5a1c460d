// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/internal/leasetest"
)

// picky is a client whose writes of one Lease fail while it is told so.
type picky struct {
	coordinationclient.LeaseInterface
	name string
	err  atomic.Pointer[apierrors.StatusError]

	mu      sync.Mutex
	refused []time.Time
}

func (p *picky) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	if err := p.err.Load(); err != nil && l.Name == p.name {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refused = append(p.refused, time.Now())
		return nil, err
	}
	return p.LeaseInterface.Update(ctx, l, o)
}

func (p *picky) refusals() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.refused)
}

var errBroken = apierrors.NewInternalError(errors.New("broken"))

func (p *peer) stop(t *testing.T) {
	t.Helper()
	p.leave()
	if err := <-p.result; err != nil {
		t.Errorf("%s: %v", p.name, err)
	}
}

// lost lists what the peer was told to stop working for.
func (p *peer) lost() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.log), func(line string) bool { return !strings.HasPrefix(line, "revoked ") })
}

// holdsIn counts the shards that the peer may act for and renews in the mode.
func (p *peer) holdsIn(mode Mode) int {
	n := 0
	for _, shard := range p.holds() {
		if term, _ := p.tenancy(shard); term.Mode == mode {
			n++
		}
	}
	return n
}

// alone starts a replica in lease mode and waits until it holds everything.
func alone(t *testing.T, client coordinationclient.LeaseInterface, drain time.Duration) *peer {
	t.Helper()
	a := startPeerIn(t, LeaseMode, client, Fast, "a", drain)
	eventually(t, 20*time.Second, "it holds everything", func() bool { return len(a.holds()) == 4 })
	return a
}

// writesOf is all that was written to a Lease, in order.
func writesOf(t *testing.T, store *leasetest.Store, name string) []*coordinationv1.Lease {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, err := store.Client("test", nil).Watch(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	cancel() // all there was is there already
	var all []*coordinationv1.Lease
	for ev := range w.ResultChan() {
		if l := ev.Object.(*coordinationv1.Lease); l.Name == name {
			all = append(all, l)
		}
	}
	return all
}

func TestDriverLeaseModeRenewsEveryShardByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		a := startPeerIn(t, LeaseMode, store.Client("a", nil), Fast, "a", 0)
		b := startPeerIn(t, LeaseMode, store.Client("b", nil), Fast, "b", 0)
		eventually(t, 20*time.Second, "two each", func() bool { return slices.Equal(counts(a, b), []int{2, 2}) })
		time.Sleep(5 * time.Second) // the clocks of what has just happened run out
		lost := len(a.lost()) + len(b.lost())

		const intervals = 100
		before := len(store.Requests())
		time.Sleep(intervals * Fast.RenewInterval)
		sent := map[leasetest.Request]int{}
		for _, r := range store.Requests()[before:] {
			sent[r]++
		}
		want := map[leasetest.Request]bool{}
		for _, p := range []*peer{a, b} {
			want[leasetest.Request{Client: p.name, Verb: "update", Name: "g.member-" + p.name + ".main"}] = true
			for _, shard := range p.holds() {
				want[leasetest.Request{Client: p.name, Verb: "update", Name: "g." + shard}] = true
			}
		}
		for r, n := range sent {
			if !want[r] {
				t.Errorf("%s sent %s %s %d times", r.Client, r.Verb, r.Name, n)
			}
		}
		for r := range want {
			if n := sent[r]; n < intervals-1 || n > intervals+1 {
				t.Errorf("%s sent %s %s %d times in %d intervals", r.Client, r.Verb, r.Name, n, intervals)
			}
		}
		if n := len(a.lost()) + len(b.lost()); n != lost {
			t.Errorf("shards were lost meanwhile: %v, %v", a.log, b.log)
		}
		a.stop(t)
		b.stop(t)
	})
}

// What the standard rules want to see in a Lease that is held.
func TestDriverLeaseModeKeepsTheStandardRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		a := alone(t, store.Client("a", nil), 0)
		time.Sleep(10 * Fast.RenewInterval)
		l := store.Lease("g.a")
		if holder := ptr.Deref(l.Spec.HolderIdentity, ""); holder == "" || holder != a.driver.machine.Identity() {
			t.Errorf("the holder is %q", holder)
		}
		if d := ptr.Deref(l.Spec.LeaseDurationSeconds, 0); d != int32(Fast.LeaseDuration/time.Second) {
			t.Errorf("leaseDurationSeconds is %d", d)
		}
		if l.Spec.RenewTime == nil || time.Since(l.Spec.RenewTime.Time) > Fast.RenewInterval {
			t.Errorf("renewTime is %v, and it is %v", l.Spec.RenewTime, time.Now())
		}
		if l.Spec.AcquireTime == nil || time.Since(l.Spec.AcquireTime.Time) < 9*Fast.RenewInterval {
			t.Errorf("acquireTime is %v, and it is %v: a renewal must not move it", l.Spec.AcquireTime, time.Now())
		}
		a.stop(t)
		l = store.Lease("g.a")
		if holder, d := ptr.Deref(l.Spec.HolderIdentity, ""), ptr.Deref(l.Spec.LeaseDurationSeconds, 0); holder != "" || d != releasedDuration {
			t.Errorf("it was left with holder %q for %d s", holder, d)
		}
	})
}

func TestDriverLosesTheShardThatItCannotRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		client := &picky{LeaseInterface: store.Client("a", nil), name: "g.a"}
		a := alone(t, client, 0)
		client.err.Store(errBroken)
		time.Sleep(Fast.RenewDeadline)
		synctest.Wait()
		if held := a.holds(); !slices.Equal(held, []string{"b", "c", "d"}) {
			t.Errorf("a RenewDeadline after it could last renew one shard it holds %v", held)
		}
		time.Sleep(10 * Fast.LeaseDuration)
		if lost := a.lost(); !slices.Equal(lost, []string{"revoked a 1 lapsed"}) {
			t.Errorf("it was told %v", lost)
		}
		client.err.Store(nil)
		eventually(t, time.Second, "it holds everything again", func() bool { return len(a.holds()) == 4 })
		if !a.said("granted a 2") {
			t.Errorf("the second term is not at epoch 2: %v", a.log)
		}
		a.stop(t)
	})
}

// A session that ends takes all its terms with it, however well they are renewed.
func TestDriverSessionThatLapsesEndsTermsInLeaseMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		client := &picky{LeaseInterface: store.Client("a", nil), name: "g.member-a.main"}
		a := alone(t, client, 0)
		client.err.Store(errBroken)
		time.Sleep(Fast.RenewDeadline)
		synctest.Wait()
		if held := a.holds(); len(held) > 0 {
			t.Errorf("a RenewDeadline after its last heartbeat it holds %v", held)
		}
		if lost := a.lost(); len(lost) != 4 {
			t.Errorf("it was told %v, want all four shards to be lost", lost)
		}
		client.err.Store(nil)
		eventually(t, Fast.RenewDeadline, "its next session holds everything", func() bool { return len(a.holds()) == 4 })
		if !a.said("granted a 2") {
			t.Errorf("the next session's terms are not at the next epoch: %v", a.log)
		}
		a.stop(t)
	})
}

// A term that nobody works for any more, but which could not be given away before
// it ran out, is over like any other: its validity ends, and is not that of the
// next term of its shard.
func TestDriverTermAfterOneThatRanOutUnheard(t *testing.T) {
	for name, hangs := range map[string]string{"without the session": "g.a", "with the session": "g."} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var store leasetest.Store
				client := &hanging{LeaseInterface: store.Client("a", nil), prefix: hangs}
				a := alone(t, client, 0)
				last, first := a.tenancy("a")
				client.hang.Store(true)
				eventually(t, Fast.RenewDeadline, "the term is about to run out", func() bool { return first.Remaining() < 50*time.Millisecond })
				a.driver.Drained(Drained{Term: last}) // while a renewal is under way
				time.Sleep(50 * time.Millisecond)
				client.hang.Store(false)
				eventually(t, Fast.LeaseDuration, "it holds everything", func() bool { return len(a.holds()) == 4 })
				next, second := a.tenancy("a")
				if next.Epoch != last.Epoch+1 || first.Valid() || !second.Valid() {
					t.Errorf("epoch %d is valid: %t, epoch %d: %t", last.Epoch, first.Valid(), next.Epoch, second.Valid())
				}
				a.stop(t)
			})
		})
	}
}

// hanging is a client whose writes of some Leases get no answer while it is told
// so.
type hanging struct {
	coordinationclient.LeaseInterface
	prefix string // of their names
	hang   atomic.Bool
}

func (h *hanging) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	if h.hang.Load() && strings.HasPrefix(l.Name, h.prefix) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.LeaseInterface.Update(ctx, l, o)
}

// tenancy is the newest term of a shard.
func (p *peer) tenancy(shard string) (Term, *Validity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, term := range slices.Backward(p.granted) {
		if term.Shard == shard {
			return term, p.terms[shard]
		}
	}
	return Term{}, nil
}

// Replicas of both modes hand shards to each other; each holds them in its own.
func TestDriverHandsOverBetweenModes(t *testing.T) {
	for _, from := range []Mode{SessionMode, LeaseMode} {
		for _, to := range []Mode{SessionMode, LeaseMode} {
			t.Run(fmt.Sprintf("from %s to %s", from, to), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { handOver(t, from, to) })
			})
		}
	}
}

func handOver(t *testing.T, from, to Mode) {
	var store leasetest.Store
	a := startPeerIn(t, from, store.Client("a", nil), Fast, "a", 0)
	eventually(t, 20*time.Second, "the first holds everything", func() bool { return a.holdsIn(from) == 4 })
	b := startPeerIn(t, to, store.Client("b", nil), Fast, "b", 0)
	eventually(t, 10*time.Second, "two each", func() bool { return a.holdsIn(from) == 2 && b.holdsIn(to) == 2 })
	began := time.Now()
	a.stop(t)
	eventually(t, time.Second, "the second holds everything", func() bool { return b.holdsIn(to) == 4 })
	if took := time.Since(began); took > time.Second {
		t.Errorf("handing over took %s", took)
	}
	successor := b.driver.machine.Identity()
	for _, shard := range []string{"a", "b", "c", "d"} {
		checkHandOver(t, writesOf(t, &store, "g."+shard), successor, to)
	}
	time.Sleep(3 * Fast.LeaseDuration)
	if lost := b.lost(); len(lost) > 0 {
		t.Errorf("the second was told %v", lost)
	}
	b.stop(t)
}

// checkHandOver looks at how a Lease came to its last holder: one whose session
// renews it is named at once, one that renews it by itself claims it, having been
// named as the preferred one.
func checkHandOver(t *testing.T, writes []*coordinationv1.Lease, successor string, mode Mode) {
	t.Helper()
	i := slices.IndexFunc(writes, func(l *coordinationv1.Lease) bool { return ptr.Deref(l.Spec.HolderIdentity, "") == successor })
	if i < 1 {
		t.Fatalf("%s never had the holder %s", writes[0].Name, successor)
	}
	last, now := DecodeShard(writes[i-1]), DecodeShard(writes[i])
	if mode == LeaseMode && (last.Holder != "" || last.Preferred != successor) {
		t.Errorf("%s: before it had the holder %q, preferred %q: want it to be given back for %s", now.Name, last.Holder, last.Preferred, successor)
	}
	if mode == SessionMode && last.Holder == "" {
		t.Errorf("%s was given back before it was given to %s", now.Name, successor)
	}
	if now.mode() != mode || now.Epoch != last.Epoch+1 {
		t.Errorf("%s is at epoch %d in %s mode, having been at %d: want one more, and %s mode", now.Name, now.Epoch, now.mode(), last.Epoch, mode)
	}
}

// A replica that is cut off loses its shards to one of the other mode, which
// waits for as long as the shard's Lease asks for.
func TestDriverTakesOverBetweenModes(t *testing.T) {
	for _, from := range []Mode{SessionMode, LeaseMode} {
		for _, to := range []Mode{SessionMode, LeaseMode} {
			t.Run(fmt.Sprintf("from %s to %s", from, to), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { takeOver(t, from, to) })
			})
		}
	}
}

func takeOver(t *testing.T, from, to Mode) {
	var store leasetest.Store
	var cut atomic.Bool
	a := startPeerIn(t, from, store.Client("a", untilEndIf(&cut)), Fast, "a", 0)
	eventually(t, 20*time.Second, "the first holds everything", func() bool { return a.holdsIn(from) == 4 })
	b := startPeerIn(t, to, store.Client("b", nil), Fast, "b", 0)
	eventually(t, 10*time.Second, "two each", func() bool { return a.holdsIn(from) == 2 && b.holdsIn(to) == 2 })
	time.Sleep(Fast.LeaseDuration)
	cut.Store(true)
	began := time.Now()
	for len(b.holds()) < 4 {
		if held := append(a.holds(), b.holds()...); len(slices.Compact(slices.Sorted(slices.Values(held)))) != len(held) {
			t.Fatalf("after %s, shards are held twice: %v, %v", time.Since(began), a.holds(), b.holds())
		}
		if time.Since(began) > Fast.LeaseDuration+time.Second {
			t.Fatalf("after %s the second holds %v", time.Since(began), b.holds())
		}
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(began); took < Fast.LeaseDuration-Fast.RenewInterval {
		t.Errorf("the second waited for %s only", took)
	}
	if b.holdsIn(to) != 4 {
		t.Errorf("the second holds %v", b.granted)
	}
	cut.Store(false)
	eventually(t, 20*time.Second, "the first is back", func() bool { return a.holdsIn(from) == 2 && b.holdsIn(to) == 2 })
	a.stop(t)
	b.stop(t)
}

// untilEndIf answers nothing while it is told so.
func untilEndIf(cut *atomic.Bool) func(context.Context, string) error {
	return func(ctx context.Context, _ string) error {
		if cut.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
}

// Of a holder in lease mode that is known dead (R10) nobody waits for the Lease
// to expire.
func TestDriverTakesOverFromTheDeadInLeaseMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		var cut atomic.Bool
		a := startPeerIn(t, LeaseMode, store.Client("a", untilEndIf(&cut)), Relaxed, "a", 0)
		eventually(t, 2*Relaxed.LeaseDuration, "the first holds everything", func() bool { return len(a.holds()) == 4 })
		b := startPeerIn(t, LeaseMode, store.Client("b", nil), Relaxed, "b", 0)
		eventually(t, 20*time.Second, "two each", func() bool { return slices.Equal(counts(a, b), []int{2, 2}) })
		cut.Store(true)
		a.leave() // nothing of it will reach anybody: it is as good as dead
		<-a.result
		b.driver.deliver(nil, Died{Replica: Replica{Pod: "a", UID: "a", Container: "main", Boot: "another"}})
		time.Sleep(5 * time.Second)
		if n := len(b.holds()); n != 2 {
			t.Errorf("the death of another process gave it %d shards", n)
		}
		b.driver.deliver(nil, Died{Replica: Replica{Pod: "a", UID: "a", Container: "main", Boot: "a"}})
		eventually(t, time.Second, "the second holds everything", func() bool { return len(b.holds()) == 4 })
		b.stop(t)
	})
}

// A pause that the API server asks for is kept, but never for so long that it
// would cost the session.
func TestDriverKeepsAPauseThatFitsBeforeTheDeadline(t *testing.T) {
	for _, asked := range []int{1, 3600} {
		t.Run(fmt.Sprint(asked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var store leasetest.Store
				client := &picky{LeaseInterface: store.Client("a", nil), name: "g.member-a.main"}
				a := startPeerIn(t, SessionMode, client, Default, "a", 0)
				eventually(t, 2*Default.LeaseDuration, "it holds everything", func() bool { return len(a.holds()) == 4 })
				client.err.Store(apierrors.NewTooManyRequests("slow down", asked))
				eventually(t, Default.RenewDeadline, "two heartbeats are refused", func() bool { return len(client.refusals()) == 2 })
				client.err.Store(nil)
				time.Sleep(2 * Default.LeaseDuration)
				refused := client.refusals()
				if gap, least := refused[1].Sub(refused[0]), min(time.Duration(asked)*time.Second, Default.RenewInterval/2); gap < least {
					t.Errorf("asked to wait for %d s it waited for %s, want %s", asked, gap, least)
				}
				if lost := a.lost(); len(lost) > 0 {
					t.Errorf("two refused heartbeats cost it its terms: %v", lost)
				}
				a.stop(t)
			})
		})
	}
}

// Every write takes a second: much for an API server, but less than any
// time-out. So many are under way at a time that no term waits for its turn.
func TestDriverManyShardsInLeaseModeOnASlowAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const shards = 200
		var store leasetest.Store
		var slow atomic.Bool
		client := store.Client("a", func(ctx context.Context, verb string) error {
			if !slow.Load() || verb != "update" {
				return nil
			}
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		a := startPeerIn(t, LeaseMode, client, Default, "a", 0)
		var specs []ShardSpec
		for i := range shards {
			specs = append(specs, ShardSpec{Name: fmt.Sprintf("s%03d", i)})
		}
		a.driver.Configure(specs)
		eventually(t, time.Minute, "it holds everything", func() bool { return len(a.holds()) == shards })
		slow.Store(true)
		least := shards
		for range 30 {
			time.Sleep(time.Second)
			least = min(least, len(a.holds()))
		}
		if least < shards {
			t.Errorf("of %d shards it held as few as %d", shards, least)
		}
		slow.Store(false)
		a.leave()
		<-a.result
	})
}

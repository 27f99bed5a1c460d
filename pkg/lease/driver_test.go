// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
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
	"k8s.io/apimachinery/pkg/watch"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/shardctl/shardctl/internal/leasetest"
)

// peer is a driver in a bubble of virtual time, with a handler that works for
// as long as it is told to.
type peer struct {
	name   string
	driver *Driver
	leave  context.CancelFunc
	result chan error
	// drain is how long the work takes to return; negative means never.
	drain time.Duration
	word  *string // the last one of its work

	mu    sync.Mutex
	terms map[string]*Validity
	log   []string
	// granted are all terms that began, oldest first.
	granted []Term
	// extended are all changes of validity, oldest first.
	extended []Extended
}

func (p *peer) Granted(t Term, v *Validity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.terms[t.Shard] = v
	p.granted = append(p.granted, t)
	p.log = append(p.log, fmt.Sprintf("granted %s %d", t.Shard, t.Epoch))
}

func (p *peer) Revoked(r Revoked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, fmt.Sprintf("revoked %s %d %s", r.Term.Shard, r.Term.Epoch, r.Cause))
	if p.drain < 0 {
		return
	}
	go func() {
		time.Sleep(p.drain)
		p.mu.Lock()
		delete(p.terms, r.Term.Shard)
		p.mu.Unlock()
		p.driver.Drained(Drained{Term: r.Term, Ledger: p.word})
	}()
}

func (p *peer) Noted(e Effect) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := e.(type) {
	case Ended:
		p.log = append(p.log, fmt.Sprintf("ended %s %s", e.Identity, e.Reason))
	case Unrenewed:
		p.log = append(p.log, "unrenewed "+e.Outcome.String())
	case Extended:
		p.extended = append(p.extended, e)
	}
}

func (p *peer) Requested(Verb, Outcome, time.Duration) {}

// holds lists the shards that the peer may act for now.
func (p *peer) holds() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var held []string
	for shard, v := range p.terms {
		if v.Valid() {
			held = append(held, shard)
		}
	}
	slices.Sort(held)
	return held
}

func (p *peer) said(what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.log, what)
}

// evenly spreads shards by count.
func evenly(s Snapshot) Plan {
	plan, load := Plan{}, map[string]int{}
	for _, shard := range s.Shards {
		if shard.Holder != "" && slices.ContainsFunc(s.Members, func(m Candidate) bool { return m.Identity == shard.Holder && m.Takes(shard.Family) }) {
			plan[shard.Name] = shard.Holder
			load[shard.Holder]++
		}
	}
	for _, shard := range s.Shards {
		var best *Candidate
		for i := range s.Members {
			if m := &s.Members[i]; m.Takes(shard.Family) && (best == nil || cmp.Compare(load[m.Identity], load[best.Identity]) < 0) {
				best = m
			}
		}
		if best == nil {
			continue
		}
		if holder := plan[shard.Name]; holder == "" || load[holder] > load[best.Identity]+1 {
			load[holder]--
			load[best.Identity]++
			plan[shard.Name] = best.Identity
		}
	}
	return plan
}

func startPeer(t *testing.T, store *leasetest.Store, name string, drain time.Duration, fault func(context.Context, string) error) *peer {
	t.Helper()
	return startPeerWith(t, store.Client(name, fault), Fast, name, drain)
}

func startPeerWith(t *testing.T, client coordinationclient.LeaseInterface, timings Timings, name string, drain time.Duration) *peer {
	t.Helper()
	return startPeerIn(t, SessionMode, client, timings, name, drain)
}

func startPeerIn(t *testing.T, mode Mode, client coordinationclient.LeaseInterface, timings Timings, name string, drain time.Duration) *peer {
	t.Helper()
	p := &peer{name: name, drain: drain, terms: map[string]*Validity{}, result: make(chan error, 1)}
	var err error
	p.driver, err = NewDriver(DriverOptions{
		Election: Config{
			Group: "g", Namespace: "ns", Timings: timings, Assign: evenly, Mode: mode,
			Replica: Replica{Pod: name, Container: "main", Boot: name},
		},
		Client: NewClientFor(client), Handler: p, Clock: MonotonicClock(), LeaveTimeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	p.leave = leave
	go func() { p.result <- p.driver.Run(ctx) }()
	p.driver.Configure([]ShardSpec{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}})
	p.driver.Report(Reported{Ready: true})
	return p
}

// eventually waits on virtual time.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > within {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

func counts(peers ...*peer) []int {
	all := make([]int, len(peers))
	for i, p := range peers {
		all[i] = len(p.holds())
	}
	slices.Sort(all)
	return all
}

func TestDriverSharesAndHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		a := startPeer(t, &store, "a", 0, nil)
		eventually(t, Fast.LeaseDuration+time.Second, "the first replica holds everything", func() bool { return len(a.holds()) == 4 })
		b := startPeer(t, &store, "b", 0, nil)
		eventually(t, 5*time.Second, "two replicas hold two each", func() bool { return slices.Equal(counts(a, b), []int{2, 2}) })

		began := time.Now()
		a.leave()
		if err := <-a.result; err != nil {
			t.Fatalf("leaving: %v", err)
		}
		synctest.Wait()
		if got := len(b.holds()); got != 4 {
			t.Errorf("after the other left, the replica holds %d shards, want 4", got)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("leaving took %s", took)
		}
		if store.Lease("g.member-a.main") != nil {
			t.Error("the member Lease of the replica that left is still there")
		}
		b.leave()
		if err := <-b.result; err != nil {
			t.Fatalf("leaving as the last: %v", err)
		}
		if l := store.Lease("g.a"); *l.Spec.HolderIdentity != "" {
			t.Errorf("the last replica left shard a with holder %q", *l.Spec.HolderIdentity)
		}
	})
}

func TestDriverSteadyStateSendsHeartbeatsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		a, b := startPeer(t, &store, "a", 0, nil), startPeer(t, &store, "b", 0, nil)
		eventually(t, 20*time.Second, "two each", func() bool { return slices.Equal(counts(a, b), []int{2, 2}) })
		time.Sleep(5 * time.Second) // the clocks of what has just happened run out
		before := len(store.Requests())
		time.Sleep(100 * Fast.RenewInterval)
		requests := store.Requests()[before:]
		for _, r := range requests {
			if r.Verb != "update" || r.Name != "g.member-"+r.Client+".main" {
				t.Errorf("%s sent %s %s", r.Client, r.Verb, r.Name)
			}
		}
		if n := len(requests); n < 198 || n > 202 {
			t.Errorf("two replicas sent %d heartbeats in 100 intervals", n)
		}
		for _, p := range []*peer{a, b} {
			p.leave()
			if err := <-p.result; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestDriverTermsEndWhenTheAPIServerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		var hang atomic.Bool
		a := startPeer(t, &store, "a", 0, func(ctx context.Context, _ string) error {
			if hang.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		eventually(t, 20*time.Second, "it holds everything", func() bool { return len(a.holds()) == 4 })
		hang.Store(true)
		time.Sleep(Fast.RenewDeadline)
		synctest.Wait()
		if held := a.holds(); len(held) != 0 {
			t.Errorf("after a RenewDeadline without an answer it still holds %v", held)
		}
		if !a.said("revoked a 1 lapsed") {
			t.Errorf("no term was revoked: %v", a.log)
		}
		hang.Store(false)
		eventually(t, 10*time.Second, "it holds everything again", func() bool { return len(a.holds()) == 4 })
		if !a.said("granted a 2") {
			t.Errorf("the second term of shard a is not at epoch 2: %v", a.log)
		}
		a.leave()
		if err := <-a.result; err != nil {
			t.Error(err)
		}
	})
}

func TestDriverWorkThatNeverReturnsKeepsTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		a := startPeer(t, &store, "a", -1, nil)
		eventually(t, 20*time.Second, "it holds everything", func() bool { return len(a.holds()) == 4 })
		b := startPeer(t, &store, "b", 0, nil)
		time.Sleep(5 * time.Second)
		a.leave()
		err := <-a.result
		if !errors.Is(err, ErrNotLeft) {
			t.Errorf("Run returned %v, want ErrNotLeft", err)
		}
		if held := b.holds(); len(held) != 0 {
			t.Errorf("the other was given %v although the work on them had not returned", held)
		}
		if held := a.holds(); len(held) != 0 {
			t.Errorf("after Run has returned, terms are still valid: %v", held)
		}
		eventually(t, 10*time.Second, "the other takes over once the session has expired", func() bool { return len(b.holds()) == 4 })
		b.leave()
		if err := <-b.result; err != nil {
			t.Error(err)
		}
	})
}

func TestDriverGoesOnAfterErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		var n atomic.Int64
		a := startPeer(t, &store, "a", 0, func(context.Context, string) error {
			switch n.Add(1) % 5 {
			case 0:
				return apierrors.NewTooManyRequests("slow down", 0)
			case 2:
				return apierrors.NewInternalError(errors.New("broken"))
			}
			return nil
		})
		eventually(t, 30*time.Second, "it holds everything although every other request fails", func() bool { return len(a.holds()) == 4 })
		time.Sleep(time.Minute)
		if a.said("revoked a 1 lapsed") {
			t.Error("single failed requests cost it the session")
		}
		a.leave()
		if err := <-a.result; err != nil {
			t.Error(err)
		}
	})
}

// mutable is a client whose open watches can be made to show nothing any more,
// like one on a connection that a middlebox has forgotten. New ones work.
type mutable struct {
	coordinationclient.LeaseInterface
	mu   sync.Mutex
	open []*atomic.Bool // muted
}

func (m *mutable) mute() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, muted := range m.open {
		muted.Store(true)
	}
	m.open = nil
}

func (m *mutable) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	w, err := m.LeaseInterface.Watch(ctx, o)
	if err != nil {
		return nil, err
	}
	muted, events := new(atomic.Bool), make(chan watch.Event)
	m.mu.Lock()
	m.open = append(m.open, muted)
	m.mu.Unlock()
	go func() {
		defer close(events)
		for ev := range w.ResultChan() { // closed when ctx is done
			if muted.Load() {
				continue
			}
			select {
			case events <- ev:
			case <-ctx.Done():
			}
		}
	}()
	return watch.NewProxyWatcher(events), nil
}

// A stuck watch has to be found, and opened anew, before it costs the session.
func TestDriverReplacesAStuckWatchInTime(t *testing.T) {
	for name, timings := range Presets() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var store leasetest.Store
				client := &mutable{LeaseInterface: store.Client("a", nil)}
				a := startPeerWith(t, client, timings, "a", 0)
				eventually(t, 2*timings.LeaseDuration, "it holds everything", func() bool { return len(a.holds()) == 4 })
				for range 5 {
					client.mute()
					time.Sleep(2*timings.RenewDeadline + timings.RenewInterval/3) // each time at another moment
				}
				if slices.ContainsFunc(a.log, func(line string) bool { return strings.HasSuffix(line, string(CauseLapsed)) }) {
					t.Error("a stuck watch cost it the session")
				}
				a.leave()
				if err := <-a.result; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// deaf is a client that, while it is told so, gets no answer to what it writes,
// although all of it is carried out.
type deaf struct {
	coordinationclient.LeaseInterface
	deaf *atomic.Bool
}

func (d deaf) answer(l *coordinationv1.Lease, err error) (*coordinationv1.Lease, error) {
	if d.deaf.Load() {
		return nil, errors.New("connection lost")
	}
	return l, err
}

func (d deaf) Create(ctx context.Context, l *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return d.answer(d.LeaseInterface.Create(ctx, l, o))
}

func (d deaf) Update(ctx context.Context, l *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	return d.answer(d.LeaseInterface.Update(ctx, l, o))
}

// What came of a write is learned from the watch (R9): no reply is needed.
func TestDriverNeedsNoReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		var lost atomic.Bool
		lost.Store(true)
		a := startPeerWith(t, deaf{store.Client("a", nil), &lost}, Fast, "a", 0)
		b := startPeerWith(t, deaf{store.Client("b", nil), &lost}, Fast, "b", 0)
		eventually(t, 30*time.Second, "two each", func() bool { return slices.Equal(counts(a, b), []int{2, 2}) })
		time.Sleep(time.Minute)
		if !slices.Equal(counts(a, b), []int{2, 2}) {
			t.Errorf("lost replies cost shards: %v, %v", a.holds(), b.holds())
		}
		for _, p := range []*peer{a, b} {
			if slices.ContainsFunc(p.log, func(line string) bool { return strings.HasSuffix(line, string(CauseLapsed)) }) {
				t.Errorf("lost replies cost %s its session: %v", p.name, p.log)
			}
		}
		lost.Store(false)
		for _, p := range []*peer{a, b} {
			p.leave()
			if err := <-p.result; err != nil {
				t.Error(err)
			}
		}
	})
}

// The work may see the validity end just before that is extended after all.
func TestDriverATermWithoutWorkBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		a := startPeer(t, &store, "a", 0, nil)
		eventually(t, 20*time.Second, "it holds everything", func() bool { return len(a.holds()) == 4 })
		held := DecodeShard(store.Lease("g.a"))
		a.driver.Drained(Drained{Term: Term{Shard: "a", UID: held.UID, Epoch: held.Epoch}})
		eventually(t, time.Second, "it begins a new term", func() bool { return a.said("granted a 2") })
		a.leave()
		if err := <-a.result; err != nil {
			t.Error(err)
		}
	})
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// diary is what roles of several replicas say, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) writef(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// waiting is a role that does nothing while it is held.
func waiting(name string) Role {
	return Role{Name: name, Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}
}

// serve runs a replica that works for the roles.
func (c *cluster) serve(name string, roles ...Role) *member {
	c.t.Helper()
	m := c.prepare(name)
	for _, r := range roles {
		if err := m.AddRole(r); err != nil {
			c.t.Fatal(err)
		}
	}
	m.run()
	return m
}

func (c *cluster) awaitHeld(m *member, role string) {
	c.t.Helper()
	c.eventually(firstStart+5*time.Second, m.name+" holds "+role, func() bool { return m.holds()[role] })
}

func TestRoleCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, d := newCluster(t), &diary{}
		telling := func(replica string) Role {
			return Role{
				Name: "report",
				Run: func(ctx context.Context) error {
					d.writef("%s runs", replica)
					<-ctx.Done()
					time.Sleep(100 * time.Millisecond)
					d.writef("%s has returned", replica)
					return nil
				},
				OnGranted: func(t *Term) { d.writef("%s granted %d", replica, t.Epoch()) },
				OnRevoked: func(t *Term, cause error) {
					d.writef("%s revoked %d, handed over: %t", replica, t.Epoch(), errors.Is(cause, ErrHandedOver))
				},
			}
		}
		a := c.serve("a", telling("a"))
		c.awaitHeld(a, "report")
		b := c.serve("b", telling("b"))
		c.eventually(firstStart, "the second is ready", func() bool { return b.Ready() == nil })
		c.stop(a)
		c.awaitHeld(b, "report")
		c.stop(b)
		want := []string{
			"a granted 1", "a runs", "a has returned", "a revoked 1, handed over: true",
			"b granted 2", "b runs", "b has returned", "b revoked 2, handed over: true",
		}
		if got := d.read(); !slices.Equal(got, want) {
			t.Errorf("they say\n%q, want\n%q", got, want)
		}
	})
}

// Every replica hears of every leader, in order, also who was added later.
func TestRoleHearsOfItsLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		diaries := map[string]*diary{"a": {}, "b": {}, "late": {}}
		listening := func(replica string) Role {
			r := waiting("report")
			r.OnNewLeader = func(l Leader) { diaries[replica].writef("%s %d", l.Pod, l.Epoch) }
			return r
		}
		a := c.serve("a", listening("a"))
		c.awaitHeld(a, "report")
		b := c.serve("b", listening("b"))
		c.eventually(firstStart, "the second is ready", func() bool { return b.Ready() == nil })
		for epoch, m := range []*member{a, b, a, b} {
			if err := m.Yield("report", time.Second); err != nil {
				t.Fatal(err)
			}
			other := map[*member]*member{a: b, b: a}[m]
			c.eventually(5*time.Second, "the other holds it", func() bool { return other.holds()["report"] })
			if term, held := other.Holding("report"); !held || term.Epoch() != int32(epoch+2) {
				t.Errorf("the term of the other is %v", term)
			}
			time.Sleep(2 * time.Second)
		}
		late := c.serve("late", listening("late"))
		c.eventually(firstStart, "the third is ready", func() bool { return late.Ready() == nil })
		c.stop(a, b, late)
		want := []string{"a 1", "b 2", "a 3", "b 4", "a 5"}
		for _, replica := range []string{"a", "b"} {
			if got := diaries[replica].read(); len(got) < 5 || !slices.Equal(got[:5], want) {
				t.Errorf("%s hears of %q, want %q", replica, got, want)
			}
		}
		if got := diaries["late"].read(); len(got) == 0 || got[0] != "a 5" {
			t.Errorf("who came late hears of %q, want a 5 at first", got)
		}
	})
}

func TestYieldIsNotTakenBackBeforeTheBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.serve("a", waiting("report"))
		c.awaitHeld(a, "report")
		if err := a.Yield("report", 20*time.Second); err != nil {
			t.Fatal(err)
		}
		c.eventually(time.Second, "it has given it up", func() bool { return len(a.holds()) == 0 })
		began := time.Now()
		if err := a.Yield("report", 0); !errors.Is(err, ErrNotHeld) {
			t.Errorf("yielding what it does not hold: %v", err)
		}
		c.eventually(30*time.Second, "it takes it again, for there is no other", func() bool { return a.holds()["report"] })
		if took := time.Since(began); took < 18*time.Second {
			t.Errorf("it took it again after %s", took)
		}
		for _, backoff := range []time.Duration{-1, 2 * time.Hour} {
			if err := a.Yield("report", backoff); err == nil || errors.Is(err, ErrNotHeld) {
				t.Errorf("back-off %s: %v", backoff, err)
			}
		}
		c.stop(a)
	})
}

func TestRoleLedgerGoesFromTermToTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, d := newCluster(t), &diary{}
		counting := func(replica string) Role {
			return Role{Name: "report", Run: func(ctx context.Context) error {
				term, _ := TermFrom(ctx)
				d.writef("%s finds %q", replica, term.Ledger())
				if err := term.Enter(ctx, "entered by "+replica); err != nil {
					t.Error(err)
				}
				<-ctx.Done()
				if replica == "b" {
					term.Leave("last word of b")
				}
				return nil
			}}
		}
		awaitEntry := func(text string) { // what the work does may take a request
			c.eventually(time.Second, text+" is on record", func() bool { return lease.DecodeShard(c.leases.Lease("g.report")).Ledger == text })
		}
		a := c.serve("a", counting("a"))
		c.awaitHeld(a, "report")
		awaitEntry("entered by a")
		b := c.serve("b", counting("b"))
		c.eventually(firstStart, "the second is ready", func() bool { return b.Ready() == nil })
		c.stop(a)
		c.awaitHeld(b, "report")
		awaitEntry("entered by b")
		e := c.serve("e", counting("e"))
		c.eventually(firstStart, "the third is ready", func() bool { return e.Ready() == nil })
		c.stop(b)
		c.awaitHeld(e, "report")
		awaitEntry("entered by e")
		c.stop(e)
		want := []string{`a finds ""`, `b finds "entered by a"`, `e finds "last word of b"`}
		if got := d.read(); !slices.Equal(got, want) {
			t.Errorf("they say %q, want %q", got, want)
		}
		if got := lease.DecodeShard(c.leases.Lease("g.report")).Ledger; got != "entered by e" {
			t.Errorf("in the end the record says %q", got)
		}
	})
}

// What is entered after a last word takes its place.
func TestLastWordIsTheLastOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, runs := newCluster(t), 0
		a := c.serve("a", Role{Name: "report", Run: func(ctx context.Context) error {
			term, _ := TermFrom(ctx)
			if runs++; runs == 1 {
				term.Leave("left at first")
				return nil
			}
			if err := term.Enter(ctx, "entered then"); err != nil {
				t.Error(err)
			}
			<-ctx.Done()
			return nil
		}})
		c.eventually(firstStart+10*time.Second, "the entry is there", func() bool {
			l := c.leases.Lease("g.report")
			return l != nil && lease.DecodeShard(l).Ledger == "entered then"
		})
		c.stop(a)
		if got := lease.DecodeShard(c.leases.Lease("g.report")).Ledger; got != "entered then" {
			t.Errorf("in the end the record says %q", got)
		}
	})
}

// A panic in a callback does not end the replica.
func TestRoleCallbackThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		r := waiting("report")
		r.OnGranted = func(*Term) { panic("granted") }
		r.OnRevoked = func(*Term, error) { panic("revoked") }
		r.OnNewLeader = func(Leader) { panic("leader") }
		a := c.serve("a", r)
		c.awaitHeld(a, "report")
		time.Sleep(time.Minute)
		if !a.holds()["report"] {
			t.Error("it does not hold the role any more")
		}
		c.stop(a)
	})
}

// What is busy stays where it is when others come.
func TestBusyRoleIsNotMovedForBalance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.serve("a", waiting("one"), waiting("two"))
		c.awaitHeld(a, "one")
		c.awaitHeld(a, "two")
		a.setBusy("one", true)
		a.setBusy("two", true)
		time.Sleep(time.Second)
		b := c.serve("b", waiting("one"), waiting("two"))
		time.Sleep(time.Minute)
		if len(b.holds()) != 0 {
			t.Errorf("the second holds %v", b.holds())
		}
		a.setBusy("one", false)
		a.setBusy("two", false)
		c.eventually(10*time.Second, "one of them has moved", func() bool { return len(b.holds()) == 1 && len(a.holds()) == 1 })
		c.stop(a, b)
	})
}

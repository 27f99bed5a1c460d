// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shardctl/shardctl/pkg/lease"
)

// gated is a replica with one role, whose gate is open while the replica is fit.
type gated struct {
	*member
	fitness *switched
	running atomic.Bool
	// ending is how long the work goes on after its context has ended.
	ending time.Duration
}

const gatedRole = "report"

func (g *gated) role() Role {
	return Role{
		Name: gatedRole,
		Gate: &Gate{Check: g.fitness.check, Interval: time.Second, FailureThreshold: 2},
		Run: func(ctx context.Context) error {
			g.running.Store(true)
			defer g.running.Store(false)
			<-ctx.Done()
			time.Sleep(g.ending)
			return nil
		},
	}
}

// startGated runs a replica that is fit, or not for that reason.
func (c *cluster) startGated(name string, unfit error, ending time.Duration) *gated {
	c.t.Helper()
	g := &gated{member: c.prepare(name), fitness: &switched{reason: unfit}, ending: ending}
	if err := g.AddRole(g.role()); err != nil {
		c.t.Fatal(err)
	}
	g.run()
	return g
}

// why is the problem with the role that the replica's heartbeats tell.
func (g *gated) why() string {
	leases, _ := g.Leases()
	for i := range leases {
		if m := lease.DecodeMember(&leases[i]); strings.HasPrefix(m.Holder, g.name+"_") && m.Problems[gatedRole] != "" {
			return m.Problems[gatedRole]
		}
	}
	return ""
}

func TestGatedRoleIsTakenByWhoIsFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.startGated("a", errDown, 0)
		time.Sleep(firstStart)
		if a.running.Load() {
			t.Error("the role runs on a replica that is not fit")
		}
		b := c.startGated("b", nil, 0)
		c.eventually(firstStart, "the one that is fit runs it", b.running.Load)
		if got, want := a.why(), "not fit: the database is down"; got != want {
			t.Errorf("the other one tells %q, want %q", got, want)
		}
		c.stop(a.member, b.member)
	})
}

// The work takes a while to end: until then the role stays.
func TestGatedRoleMovesOnceTheWorkHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ending = 3 * time.Second
		c := newCluster(t)
		a := c.startGated("a", nil, ending)
		c.eventually(firstStart, "the first runs it", a.running.Load)
		b := c.startGated("b", nil, ending)
		c.eventually(firstStart, "the second is ready", func() bool { return b.Ready() == nil && b.gateIsOpen() })
		a.fitness.set(errDown)
		c.eventually(10*time.Second, "the second runs it", func() bool {
			if a.running.Load() && b.running.Load() {
				t.Fatal("both run it")
			}
			return b.running.Load()
		})
		a.fitness.set(nil)
		time.Sleep(time.Minute)
		if a.running.Load() || !b.running.Load() {
			t.Error("the role came back although its holder is fit")
		}
		c.stop(a.member, b.member)
	})
}

func (g *gated) gateIsOpen() bool { return g.current().roles[0].gate.problem() == "" }

func TestGatedRoleIsHeldByNobodyIfNobodyIsFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.startGated("a", nil, 0)
		c.eventually(firstStart, "it runs", a.running.Load)
		a.fitness.set(errDown)
		c.eventually(10*time.Second, "it is given up", func() bool { return !a.running.Load() && len(a.holds()) == 0 })
		time.Sleep(time.Minute)
		if a.running.Load() {
			t.Error("the role runs, but nobody is fit")
		}
		a.fitness.set(nil)
		c.eventually(10*time.Second, "it runs again", a.running.Load)
		c.eventually(2*lease.Fast.RenewInterval, "its problem is told no more", func() bool { return a.why() == "" })
		c.stop(a.member)
	})
}

// A new configuration is no reason for the role to move, nor to stay where the gate is closed.
func TestGatedRoleThatIsReplacedStaysAsItWas(t *testing.T) {
	for _, tc := range []struct {
		name  string
		unfit error
	}{{"open", nil}, {"closed", errDown}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				a := c.startGated("a", tc.unfit, 0)
				time.Sleep(firstStart)
				if got := a.running.Load(); got != (tc.unfit == nil) {
					t.Fatalf("the role runs: %v", got)
				}
				next := a.role()
				next.Gate.SuccessThreshold = 1000
				if err := a.Apply(t.Context(), Change{RemoveRoles: []string{gatedRole}, AddRoles: []Role{next}}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if got := len(a.holds()) == 1; got != (tc.unfit == nil) {
					t.Errorf("the role is held after the change: %v", got)
				}
				c.stop(a.member)
			})
		})
	}
}

func TestGateIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		r := prometheus.NewRegistry()
		a := c.startGated("a", errDown, 0)
		if err := r.Register(newGateMetrics(func() []*role { return a.current().roles }, "g")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(firstStart)
		for _, tc := range []struct {
			unfit error
			want  string
		}{{errDown, "0"}, {nil, "1"}, {errDown, "0"}} {
			a.fitness.set(tc.unfit)
			time.Sleep(5 * time.Second)
			if got := told(t, r, "gate_open"); got != gatedRole+"="+tc.want {
				t.Errorf("with %v the gate is measured as %q, want %s", tc.unfit, got, tc.want)
			}
		}
		c.stop(a.member)
	})
}

// A gate that is removed in the midst of a check cannot have the last word on a role that
// has none any more.
func TestGateThatWasRemovedHasNoSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.startGated("a", nil, 0)
		c.eventually(firstStart, "it runs", a.running.Load)
		before, ungated := a.current().roles[0], a.role()
		ungated.Gate = nil
		if err := a.Apply(t.Context(), Change{RemoveRoles: []string{gatedRole}, AddRoles: []Role{ungated}}); err != nil {
			t.Fatal(err)
		}
		a.judge(before, false)
		time.Sleep(time.Minute)
		if !a.running.Load() {
			t.Error("the role is declined because of a gate that it does not have")
		}
		c.stop(a.member)
	})
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/internal/leasetest"
)

// startRun starts one run of the container of a Pod.
func startRun(t *testing.T, store *leasetest.Store, pod, boot string, fault func(context.Context, string) error) *peer {
	t.Helper()
	p := &peer{name: boot, terms: map[string]*Validity{}, result: make(chan error, 1)}
	var err error
	p.driver, err = NewDriver(DriverOptions{
		Election: Config{
			Group: "g", Namespace: "ns", Timings: Fast, Assign: evenly, Shards: []ShardSpec{{Name: "a"}},
			Replica: Replica{Pod: pod, UID: types.UID("uid-" + pod), Container: "main", Boot: boot},
		},
		Client: NewClientFor(store.Client(boot, fault)), Handler: p, Clock: MonotonicClock(), LeaveTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	p.leave = leave
	go func() { p.result <- p.driver.Run(ctx) }()
	p.driver.Report(Reported{Ready: true})
	return p
}

func TestDriverSaysWhyItEndedASession(t *testing.T) {
	for _, tc := range []struct {
		reason EndReason
		pod    string        // of the one that ends it
		after  func(p *peer) // of what it is told
	}{
		{EndExpired, "q", func(*peer) {}},
		{EndDead, "q", func(p *peer) {
			p.driver.deliver(nil, Died{Replica: Replica{Pod: "p", UID: "uid-p", Container: "main", Boot: "boot1"}})
		}},
		{EndPredecessor, "p", func(*peer) {}},
	} {
		t.Run(string(tc.reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var store leasetest.Store
				var cut atomic.Bool
				first := startRun(t, &store, "p", "boot1", untilEndIf(&cut))
				eventually(t, 2*Fast.LeaseDuration, "it holds the shard", func() bool { return len(first.holds()) == 1 })
				cut.Store(true)
				first.leave() // without a word
				<-first.result
				second := startRun(t, &store, tc.pod, "boot2", nil)
				tc.after(second)
				eventually(t, 2*Fast.LeaseDuration, "the next one does", func() bool { return len(second.holds()) == 1 })
				if want := "ended p_uid-p_main.boot1.1 " + string(tc.reason); !second.said(want) {
					t.Errorf("it did not say %q", want)
				}
				second.stop(t)
			})
		})
	}
}

func TestDriverSaysHowHeartbeatsFare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store leasetest.Store
		var cut atomic.Bool
		p := startRun(t, &store, "p", "boot1", untilEndIf(&cut))
		eventually(t, 2*Fast.LeaseDuration, "it holds the shard", func() bool { return len(p.holds()) == 1 })
		time.Sleep(10 * Fast.RenewInterval)
		if p.said("unrenewed unknown") {
			t.Error("a heartbeat failed")
		}
		p.mu.Lock()
		extended := slices.Clone(p.extended)
		p.mu.Unlock()
		if len(extended) < 10 {
			t.Fatalf("%d heartbeats came back in 10 intervals", len(extended))
		}
		for _, e := range extended {
			if e.Until != e.Sent.Add(Fast.RenewDeadline) {
				t.Errorf("valid until %d by a heartbeat sent at %d", e.Until, e.Sent)
			}
		}
		if left := p.driver.Remaining(); left <= Fast.RenewDeadline-Fast.RenewInterval-100*time.Millisecond || left > Fast.RenewDeadline {
			t.Errorf("the session is valid for %s", left)
		}
		cut.Store(true)
		time.Sleep(2 * Fast.RenewDeadline)
		if !p.said("unrenewed unknown") {
			t.Error("no heartbeat failed")
		}
		if left := p.driver.Remaining(); left != 0 {
			t.Errorf("a session that is over is valid for %s", left)
		}
		cut.Store(false)
		p.stop(t)
	})
}

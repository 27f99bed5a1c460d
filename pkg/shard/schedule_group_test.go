// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shardctl/shardctl/internal/schedule"
)

// logbook is who has started what.
type logbook struct {
	mu      sync.Mutex
	starts  map[string][]string // by key: the replicas
	ended   map[string]bool
	working map[string]string // by key: the replica
}

func newLogbook() *logbook {
	return &logbook{starts: map[string][]string{}, ended: map[string]bool{}, working: map[string]string{}}
}

func (d *logbook) begin(replica, key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.starts[key] = append(d.starts[key], replica)
	d.working[key] = replica
}

func (d *logbook) end(key string, done bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended[key] = d.ended[key] || done
	delete(d.working, key)
}

// keyed is the ticks of @every 1s from one instant to another.
func keyed(from, to time.Time) (keys []string) {
	for at := from.Truncate(time.Second).Add(time.Second); at.Before(to); at = at.Add(time.Second) {
		keys = append(keys, "pulse/"+at.UTC().Format(time.RFC3339))
	}
	return keys
}

// Replicas come and go, in order: no tick is started twice, and none is lost. One that
// nobody held the shard for is started late, unless another has become due.
func TestAScheduleIsHandedOver(t *testing.T) {
	for _, delivery := range []Delivery{AtMostOnce, AtLeastOnce} {
		t.Run(string(delivery), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, d := newCluster(t), newLogbook()
				join := func(name string) *member {
					m := c.prepare(name)
					err := m.AddSchedule(Schedule{Name: "pulse", Cron: "@every 1s", Delivery: delivery, Run: func(ctx context.Context, f Firing) error {
						d.begin(name, f.Key)
						select {
						case <-time.After(300 * time.Millisecond):
							d.end(f.Key, true)
							return nil
						case <-ctx.Done():
							d.end(f.Key, false)
							return ctx.Err()
						}
					}})
					if err != nil {
						t.Fatal(err)
					}
					m.run()
					return m
				}
				a := join("a-0")
				c.eventually(firstStart, "it holds the schedule", func() bool { return a.holds()["pulse"] })
				began := time.Now()
				time.Sleep(10*time.Second + 50*time.Millisecond)
				for i := range 5 {
					b := join(fmt.Sprint("b-", i))
					time.Sleep(3*time.Second + time.Duration(i)*230*time.Millisecond)
					c.stop(a)
					c.eventually(time.Second, "the next holds the schedule", func() bool { return b.holds()["pulse"] })
					a = b
					time.Sleep(4 * time.Second)
				}
				ended := time.Now()
				c.stop(a)
				d.mu.Lock()
				defer d.mu.Unlock()
				holders := map[string]bool{}
				for _, key := range keyed(began, ended.Add(-time.Second)) {
					starts := d.starts[key]
					if len(starts) != 1 || !d.ended[key] {
						t.Errorf("%s was started by %q, and has ended: %t", key, starts, d.ended[key])
					}
					for _, holder := range starts {
						holders[holder] = true
					}
				}
				if len(holders) < 6 {
					t.Errorf("only %v have started anything", holders)
				}
			})
		})
	}
}

// A holder that is cut off starts nothing more, and who takes the shard over starts
// nothing again that was claimed.
func TestAScheduleIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, d := newCluster(t), newLogbook()
		var cut sync.Map
		c.fault = func(ctx context.Context, replica string) error {
			if _, off := cut.Load(replica); !off {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		join := func(name string) *member {
			m := c.prepare(name)
			err := m.AddSchedule(Schedule{Name: "pulse", Cron: "@every 1s", Run: func(ctx context.Context, f Firing) error {
				d.begin(name, f.Key)
				defer d.end(f.Key, true)
				if term, _ := TermFrom(ctx); !term.Valid() {
					t.Errorf("%s starts %s without a valid term", name, f.Key)
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			m.run()
			return m
		}
		a := join("a")
		c.eventually(firstStart, "it holds the schedule", func() bool { return a.holds()["pulse"] })
		began := time.Now()
		b := join("b")
		time.Sleep(5*time.Second + 10*time.Millisecond)
		cut.Store("a", true)
		c.eventually(time.Minute, "the other takes over", func() bool { return b.holds()["pulse"] })
		time.Sleep(5 * time.Second)
		cut.Delete("a")
		time.Sleep(5 * time.Second)
		c.stop(a, b)
		d.mu.Lock()
		defer d.mu.Unlock()
		by := map[string]int{}
		for _, key := range keyed(began, time.Now()) {
			if starts := d.starts[key]; len(starts) > 1 {
				t.Errorf("%s was started by %q", key, starts)
			} else if len(starts) == 1 {
				by[starts[0]]++
			}
		}
		if by["a"] < 4 || by["b"] < 5 {
			t.Errorf("started were %v", by)
		}
	})
}

// While a run goes on the shard is not moved for balance; the ledger says what has become
// of the ticks.
func TestAScheduleAtWorkIsNotMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		release := make(chan struct{})
		join := func(name string) *member {
			m := c.prepare(name)
			for _, role := range []string{"one", "two"} {
				err := m.AddSchedule(Schedule{Name: role, Cron: "@every 10s", Run: func(ctx context.Context, _ Firing) error {
					select {
					case <-release:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
			}
			m.run()
			return m
		}
		a := join("a")
		c.eventually(2*firstStart, "it holds both, and works", func() bool { return len(a.holds()) == 2 && len(a.busy()) == 2 })
		time.Sleep(time.Second) // so long it may take to be known
		b := join("b")
		time.Sleep(time.Minute)
		if len(b.holds()) > 0 {
			t.Errorf("the other holds %v although work is under way", b.holds())
		}
		close(release)
		c.eventually(time.Minute, "each holds one", func() bool { return len(a.holds()) == 1 && len(b.holds()) == 1 })
		time.Sleep(time.Minute)
		leases, _ := a.Leases()
		read := 0
		for i := range leases {
			if text := leases[i].Annotations["shardctl.dev/ledger"]; text != "" {
				r, err := schedule.Decode(text)
				if err != nil || r.Last.Outcome != schedule.Succeeded || r.Skipped.Reason != schedule.Concurrent {
					t.Errorf("%s: %+v, %v", text, r, err)
				}
				read++
			}
		}
		if read != 2 {
			t.Errorf("%d ledgers are there, want 2", read)
		}
		c.stop(a, b)
	})
}

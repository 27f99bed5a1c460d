// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/e2e/netproxy"
	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// member is a [lease.Driver] at work, whose terms' work ends as soon as it should.
type member struct {
	driver *lease.Driver
	stop   func() error

	mu    sync.Mutex
	terms []heldTerm // all that there were, oldest first
	lost  []lease.Cause
	began []string // identities that followed the first
	work  errgroup.Group
	// onGrant, if set, is called at the very moment a term begins.
	onGrant func(lease.Term)
}

type heldTerm struct {
	lease.Term
	validity *lease.Validity
}

// Granted is part of [lease.Handler].
func (m *member) Granted(term lease.Term, v *lease.Validity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.onGrant != nil {
		m.onGrant(term)
	}
	m.terms = append(m.terms, heldTerm{term, v})
}

// Revoked is part of [lease.Handler].
func (m *member) Revoked(r lease.Revoked) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = append(m.lost, r.Cause)
	m.work.Go(func() error {
		m.driver.Drained(lease.Drained{Term: r.Term})
		return nil
	})
}

// Noted is part of [lease.Handler].
func (m *member) Noted(e lease.Effect) {
	if began, ok := e.(lease.Began); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.began = append(m.began, began.Identity)
	}
}

// Requested is part of [lease.Handler].
func (m *member) Requested(lease.Verb, lease.Outcome, time.Duration) {}

const onlyShard = "work"

// startMember starts a driver whose client uses the configuration, ready to hold the one shard.
func startMember(t *testing.T, c *cluster, config *rest.Config, name string, timings lease.Timings, onGrant func(lease.Term)) *member {
	t.Helper()
	client, err := lease.NewClient(config, c.namespace)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{onGrant: onGrant}
	m.driver, err = lease.NewDriver(lease.DriverOptions{
		Client:  client,
		Handler: m,
		Election: lease.Config{
			Group: c.group, Namespace: c.namespace, Timings: timings, Assign: shard.Assign,
			Replica: lease.Replica{Pod: name, Container: "main", Boot: name},
			Shards:  []lease.ShardSpec{{Name: onlyShard}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return m.driver.Run(ctx) })
	m.driver.Report(lease.Reported{Ready: true})
	m.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(running.Wait(), m.work.Wait())
	})
	t.Cleanup(func() { _ = m.stop() }) // a test that cares has stopped it before
	return m
}

// newest is the newest term there was.
func (m *member) newest() (heldTerm, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.terms) == 0 {
		return heldTerm{}, errors.New("it has had no term yet")
	}
	return m.terms[len(m.terms)-1], nil
}

// awaitTerm waits until the member holds the shard at this epoch or a later one.
func (m *member) awaitTerm(t *testing.T, epoch int32) heldTerm {
	t.Helper()
	var held heldTerm
	eventually(t, fmt.Sprintf("the shard is held at epoch %d", epoch), func() (err error) {
		if held, err = m.newest(); err != nil {
			return err
		}
		if held.Epoch < epoch || !held.validity.Valid() {
			return fmt.Errorf("the newest term has epoch %d, valid: %t", held.Epoch, held.validity.Valid())
		}
		return nil
	})
	return held
}

// deadline is when the term is over unless it is extended.
func (h heldTerm) deadline() time.Time { return time.Now().Add(h.validity.Remaining()) }

// Connections that go dead without a word, lose answers or are closed cost a replica requests, but never its session: it
// notices, and has another way within its RenewDeadline.
func TestSessionOutlivesItsConnections(t *testing.T) {
	t.Parallel()
	// A dead connection costs a request's time-out, which is the RenewInterval, for the heartbeat and as much for the watch.
	timings := lease.Timings{LeaseDuration: 16 * time.Second, RenewDeadline: 10 * time.Second, RenewInterval: time.Second}
	for name, disturb := range map[string]func(*netproxy.Proxy){
		"connections hang":       func(p *netproxy.Proxy) { p.HoldExisting(true, true) },
		"answers are lost":       func(p *netproxy.Proxy) { p.HoldExisting(false, true) },
		"connections are closed": (*netproxy.Proxy).Cut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.createNamespace(t)
			c.install(t, c.group)
			p, config := startProxy(t, controlPlane.Config())
			m := startMember(t, c, config, "alone", timings, nil)
			held := m.awaitTerm(t, 1)

			connections := p.Opened()
			disturb(p)
			began := time.Now()
			// What was sent before the disturbance extends the term up to here.
			limit := began.Add(timings.RenewDeadline)
			eventually(t, "the term is extended by what was sent after the disturbance", func() error {
				if deadline := held.deadline(); deadline.Before(limit.Add(timings.RenewInterval)) {
					return fmt.Errorf("it ends in %s", time.Until(deadline))
				}
				return nil
			})
			t.Logf("a heartbeat came through again within %s", time.Since(began).Round(time.Millisecond))
			if err := m.stop(); err != nil {
				t.Error(err)
			}
			if p.Opened() == connections {
				t.Error("no connection was made anew: nothing was disturbed")
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if len(m.terms) != 1 || len(m.began) != 0 {
				t.Errorf("%d terms, further sessions %q, terms lost for %q: want one term of one session", len(m.terms), m.began, m.lost)
			}
		})
	}
}

// Without a network a term ends by itself, before anybody else holds the shard; its session is never used again, whatever
// arrives late.
func TestTermEndsWithoutNetwork(t *testing.T) {
	t.Parallel()
	timings := lease.Fast
	c := newCluster(t)
	c.createNamespace(t)
	c.install(t, c.group)
	p, config := startProxy(t, controlPlane.Config())
	isolated := startMember(t, c, config, "isolated", timings, nil)
	first := isolated.awaitTerm(t, 1)
	other := startMember(t, c, controlPlane.Config(), "other", timings, func(term lease.Term) {
		if first.validity.Valid() {
			t.Errorf("epoch %d begins while epoch %d is valid for another %s", term.Epoch, first.Epoch, first.validity.Remaining())
		}
	})

	p.Hold(true, true)
	began := time.Now()
	limit := began.Add(timings.RenewDeadline) // what was sent before extends the term up to here
	var second heldTerm
	eventually(t, "the other replica takes over", func() (err error) {
		if deadline := first.deadline(); deadline.After(limit) {
			t.Fatalf("the term was extended by another %s although nothing came through", deadline.Sub(limit))
		}
		second, err = other.newest()
		return err
	})
	t.Logf("the shard was taken over %s after the network had gone", time.Since(began).Round(time.Millisecond))
	if second.How != lease.CauseTakeOver || second.Epoch != first.Epoch+1 {
		t.Errorf("the other replica's term is %+v, want epoch %d by take-over", second.Term, first.Epoch+1)
	}

	p.Heal()
	if err := other.stop(); err != nil {
		t.Error(err)
	}
	third := isolated.awaitTerm(t, second.Epoch+1)
	if third.Identity == first.Identity || !strings.HasPrefix(third.Identity, "isolated_") {
		t.Errorf("the replica came back as %s, having been %s: want a new session", third.Identity, first.Identity)
	}
	if first.validity.Valid() {
		t.Error("the first term is valid again")
	}
	if err := isolated.stop(); err != nil {
		t.Error(err)
	}
	j := readJournal(t, c.group, c.namespace)
	j.checkEpochs(t)
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// In lease mode a replica and client-go's leaderelection contend for one Lease, in both directions: whoever holds it is
// respected by the others, gives it to them at once when it leaves, and loses it to them when it crashes, not before its
// LeaseDuration has passed.
func TestClientGoContends(t *testing.T) {
	t.Parallel()
	c := newContest(t)

	// An elector of client-go made the Lease, and holds it against a replica, which adopts it for its watch.
	first := c.startElector(t, "first", true)
	c.awaitHolder(t, first.is)
	if labels := c.labels(); len(labels) > 0 {
		t.Fatalf("the Lease that client-go made has labels: %v", labels)
	}
	ours := c.startReplica(t, "ours")
	c.awaitTenure(t, first.is)
	if c.labels()[lease.LabelGroup] != c.group {
		t.Error("the replica did not adopt the Lease that it waits for")
	}

	// It leaves: the replica is next, and holds the Lease against two other electors.
	first.leave()
	c.awaitHolder(t, ours.is)
	second := c.startElector(t, "second", false)
	third := c.startElector(t, "third", true)
	c.awaitTenure(t, ours.is)

	// The replica leaves: one of them is next, and holds the Lease against the replica, which is back.
	ours.leave()
	if err := ours.result(); err != nil {
		t.Errorf("leaving: %v", err)
	}
	holder := c.electorOf(t, c.awaitHolder(t, second.is, third.is))
	again := c.startReplica(t, "again")
	c.awaitTenure(t, holder.is)

	// They crash, one after the other, until it is the replica's turn. The second would not have released the Lease if it
	// could, the third cannot.
	holder.crash()
	next := c.awaitHolder(t, again.is, second.is, third.is)
	for !again.is(next) {
		c.electorOf(t, next).crash()
		next = c.awaitHolder(t, again.is, second.is, third.is)
	}

	// The replica crashes: an elector takes over, and a replica from that, when it has crashed too.
	last := c.startElector(t, "last", false)
	c.awaitTenure(t, again.is)
	again.crash()
	c.awaitHolder(t, last.is, second.is, third.is)
	for _, e := range []*elector{last, second, third} {
		e.crash()
	}
	final := c.startReplica(t, "final")
	c.awaitHolder(t, final.is)
	final.leave()
	if err := final.result(); err != nil {
		t.Errorf("leaving: %v", err)
	}

	again.leave()
	_ = again.result() // whatever it says of what it could not tell anybody
	c.checkHistory(t)
	c.checkRequests(t, ours, again, final)
}

// Replicas in both modes, and an elector of client-go: a shard that the session renews is out of the elector's reach.
func TestClientGoRespectsSessions(t *testing.T) {
	t.Parallel()
	c := newContest(t)
	ours := c.startReplicaIn(t, lease.SessionMode, "ours")
	c.awaitHolder(t, ours.is)
	e := c.startElector(t, "elector", true)
	// Nothing renews this Lease, and yet it is held for longer than any LeaseDuration.
	c.awaitWaiting(t, e, ours)
	ours.leave()
	if err := ours.result(); err != nil {
		t.Errorf("leaving: %v", err)
	}
	c.awaitHolder(t, e.is)
	other := c.startReplicaIn(t, lease.SessionMode, "other")
	c.awaitTenure(t, e.is)
	e.crash()
	c.awaitHolder(t, other.is)
	other.leave()
	if err := other.result(); err != nil {
		t.Errorf("leaving: %v", err)
	}
	c.checkHistory(t)
}

// checkHistory looks at everything that was ever written to the Lease: at who followed whom, and how soon.
func (c *contest) checkHistory(t *testing.T) {
	t.Helper()
	writes := c.history()
	holders := []string{writes[0].Holder}
	for i, now := range writes[1:] {
		before := writes[i]
		if now.Holder != before.Holder {
			holders = append(holders, now.Holder)
		}
		gained := now.Holder != before.Holder && now.Holder != ""
		// A session that lost a term, and nothing else, begins the next by itself.
		if rise := now.Epoch - before.Epoch; gained && rise != 1 || rise < 0 || rise > 1 {
			t.Errorf("epoch %d of %q follows epoch %d of %q", now.Epoch, now.Holder, before.Epoch, before.Holder)
		}
		if !gained || before.Holder == "" || before.Session {
			continue
		}
		// Nobody gave it up: that it had expired is what both say by their clocks, which are the same. client-go compares
		// Leases in whole seconds, so it may not have seen a renewal in the same second as the one before.
		patience := before.Duration
		if _, err := lease.ParseIdentity(now.Holder); err != nil {
			patience -= time.Second
		}
		if waited := now.Acquired.Sub(before.Renewed); waited < patience {
			t.Errorf("%q took the Lease %s after %q had renewed it, which is good for %s", now.Holder, waited, before.Holder, before.Duration)
		}
	}
	t.Logf("%d writes, holders: %s", len(writes), strings.Join(holders, ", "))
	for _, term := range c.replicaTerms() {
		is := func(l lease.Shard) bool { return l.Holder == term.Identity() && l.Epoch == term.Epoch() }
		if !slices.ContainsFunc(writes, is) {
			t.Errorf("%s had a term at epoch %d of which the Lease never said so", term.Identity(), term.Epoch())
		}
		if term.Valid() {
			t.Errorf("%s still has a term, at epoch %d", term.Identity(), term.Epoch())
		}
	}
}

// checkRequests fails the test if the replicas sent more than they need: in each RenewInterval a heartbeat and a renewal,
// and what starting, taking and leaving costs.
func (c *contest) checkRequests(t *testing.T, replicas ...*replica) {
	t.Helper()
	for _, r := range replicas {
		intervals := int64(r.lived / timings.RenewInterval)
		if sent, limit := r.requests.Load(), 3*intervals+60; sent > limit {
			t.Errorf("replica %s sent %d requests on Leases in %d intervals, more than %d", r.name, sent, intervals, limit)
		} else {
			t.Logf("replica %s sent %d requests on Leases in %d intervals", r.name, sent, intervals)
		}
	}
}

// awaitTenure waits until a holder has renewed the Lease for more than two LeaseDurations, and returns it.
func (c *contest) awaitTenure(t *testing.T, is func(string) bool) string {
	t.Helper()
	var holder string
	c.await(t, "the Lease was renewed for more than two LeaseDurations", func(l lease.Shard) error {
		if !is(l.Holder) {
			return fmt.Errorf("it is held by %q", l.Holder)
		}
		if tenure := l.Renewed.Sub(l.Acquired); tenure <= 2*timings.LeaseDuration {
			return fmt.Errorf("%q has held it for %s", l.Holder, tenure)
		}
		holder = l.Holder
		return nil
	})
	return holder
}

// awaitHolder waits until one of them holds the Lease, and works; it returns the identity.
func (c *contest) awaitHolder(t *testing.T, are ...func(string) bool) string {
	t.Helper()
	var holder string
	c.await(t, "the Lease is held by who should hold it", func(l lease.Shard) error {
		if !slices.ContainsFunc(are, func(is func(string) bool) bool { return is(l.Holder) }) {
			return fmt.Errorf("it is held by %q", l.Holder)
		}
		if !c.works(l.Holder) {
			return fmt.Errorf("%q does not work", l.Holder)
		}
		holder = l.Holder
		return nil
	})
	return holder
}

// awaitWaiting waits until an elector has tried for two LeaseDurations to get what a replica holds.
func (c *contest) awaitWaiting(t *testing.T, e *elector, r *replica) {
	t.Helper()
	tries := int64(2 * timings.LeaseDuration / retryPeriod)
	c.await(t, "the elector has tried for long", func(l lease.Shard) error {
		if !r.is(l.Holder) {
			t.Fatalf("the Lease is held by %q", l.Holder)
		}
		if n := e.requests.Load(); n < tries {
			return fmt.Errorf("it has sent %d requests", n)
		}
		return nil
	})
}

// await waits for a state of the Lease, and looks all the while whether two work at the same time.
func (c *contest) await(t *testing.T, what string, is func(lease.Shard) error) {
	t.Helper()
	eventually(t, what, func() error {
		c.checkExclusion(t)
		writes := c.history()
		if len(writes) == 0 {
			return errors.New("there is no Lease")
		}
		return is(writes[len(writes)-1])
	})
}

func (c *contest) electorOf(t *testing.T, identity string) *elector {
	t.Helper()
	i := slices.IndexFunc(c.electors, func(e *elector) bool { return e.is(identity) })
	if i < 0 {
		t.Fatalf("%q is no elector", identity)
	}
	return c.electors[i]
}

// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/e2e/netproxy"
)

// listener is a client that is cut off again and again, and goes on where it was.
type listener struct {
	via     *netproxy.Proxy
	through local

	mu       sync.Mutex
	last     string       // ID of the event that was read last
	first    toldSnapshot // the first of all
	changes  []toldLeader // every event that somebody else leads
	leaders  map[string]toldLeader
	opened   int // streams that have told something
	resets   int
	problems []error
}

// listen begins to read what the endpoint tells, through a network that is there to be cut.
func listen(t *testing.T, l local) *listener {
	t.Helper()
	via, err := netproxy.Start(l.address)
	if err != nil {
		t.Fatal(err)
	}
	one := &listener{via: via, through: local{pod: l.pod, address: via.Addr()}, leaders: map[string]toldLeader{}}
	ctx, cancel := context.WithCancel(t.Context())
	var reading errgroup.Group
	reading.Go(func() error {
		one.readLoop(ctx)
		return nil
	})
	t.Cleanup(func() {
		cancel()
		_ = reading.Wait()
		if err := via.Close(); err != nil {
			t.Error(err)
		}
	})
	return one
}

// readLoop comes back at once whenever it is cut off. Every other time it hangs up by itself, at some event.
func (l *listener) readLoop(ctx context.Context) {
	for ctx.Err() == nil {
		patience := -1
		if rand.IntN(2) == 0 {
			patience = rand.IntN(4)
		}
		begun := false
		_ = l.through.stream(ctx, l.position(), func(e told) error { // it ends, which is the point
			if !begun {
				begun = true
				l.begin()
			}
			l.take(e)
			if patience == 0 {
				return errors.New("hung up")
			}
			patience--
			return nil
		})
	}
}

func (l *listener) position() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *listener) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened++
}

// take notes an event.
func (l *listener) take(e told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.name {
	case "snapshot":
		l.snapshot(e)
	case "leader":
		var now toldLeader
		if err := e.decode(&now); err != nil {
			l.problems = append(l.problems, err)
			return
		}
		l.changes = append(l.changes, now)
		l.leaders[now.Role] = now
	}
	if e.id != "" {
		l.last = e.id
	}
}

// snapshot has to say what the events before it have said.
func (l *listener) snapshot(e told) {
	var s toldSnapshot
	if err := e.decode(&s); err != nil {
		l.problems = append(l.problems, err)
		return
	}
	if s.Reset {
		l.resets++
	}
	if l.first.Pod == "" {
		l.first = s
		for _, role := range s.Roles {
			l.leaders[role.Role] = role
		}
		return
	}
	for _, role := range s.Roles {
		if known := l.leaders[role.Role]; known.String() != role.String() {
			l.problems = append(l.problems, fmt.Errorf("a snapshot says %q, having told %q last", role, known))
		}
	}
}

// heard is all that it was told: the first snapshot, and every change since.
func (l *listener) heard() (first toldSnapshot, changes []string, opened int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.changes {
		changes = append(changes, c.String())
	}
	return l.first, changes, l.opened
}

// A client of the local endpoint is cut off 100 times while the roles change hands: by yields, kills and ends in order. It has
// heard of every change of leadership, in their order, which is that of the Leases in etcd.
func TestReconnectingClientMissesNoLeader(t *testing.T) {
	t.Parallel()
	const reconnects, changes = 100, 50
	c := newCluster(t)
	truth := c.recordReigns(t)
	roles := []string{"left", "middle", "right"}
	var configured []plainRole
	for _, role := range roles {
		configured = append(configured, plainRole{name: role, fields: map[string]any{"leadership": map[string]any{"grace": "20ms"}}})
	}
	d := c.deployPlain(t, configured...)
	d.launch(t, "a", "b", "c", "d")
	d.await(t, "four replicas to share three roles", fleet.Spread(len(roles), 4))
	l := listen(t, localOf(t, d.Replica("a")))
	eventually(t, "the client knows how things stand", func() error {
		if first, _, _ := l.heard(); first.Pod == "" {
			return errors.New("there was no snapshot")
		}
		return nil
	})

	ctx, stop := context.WithCancel(t.Context())
	var cutting errgroup.Group
	cutting.Go(func() error { return l.cutLoop(ctx) })
	var yields, others int
	for round := 0; ; round++ {
		if _, heard, opened := l.heard(); opened > reconnects && len(heard) >= changes {
			break
		}
		if round%8 == 7 {
			d.endSome(t, round)
			others++
		} else if d.yieldSome(t, roles) {
			yields++
		}
	}
	stop()
	if err := cutting.Wait(); err != nil {
		t.Fatal(err)
	}
	d.await(t, "all roles to be held", fleet.Held(len(roles)))
	d.checkHeard(t, truth, l, roles)
	_, heard, opened := l.heard()
	t.Logf("%d streams told of %d changes, by %d yields and %d ends of replicas", opened, len(heard), yields, others)
}

// cutLoop cuts the client off at random moments until ctx is done.
func (l *listener) cutLoop(ctx context.Context) error {
	for {
		select {
		case <-time.After(time.Duration(rand.Int64N(int64(200 * time.Millisecond)))):
			l.via.Cut()
		case <-ctx.Done():
			return nil
		}
	}
}

// yieldSome has the holder of some role give it up, and waits until somebody else has it. It tells whether it was asked in time.
func (d *wiredDeployment) yieldSome(t *testing.T, roles []string) bool {
	t.Helper()
	role := roles[rand.IntN(len(roles))]
	s, err := d.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	holder, held := fleet.HolderOf(s, role)
	if !held {
		d.await(t, "all roles to be held", fleet.Held(len(roles)))
		return false
	}
	status, _, err := localOf(t, d.Replica(holder)).ask(t.Context(), http.MethodPost, "/roles/"+role+"/yield?backoff=300ms")
	if err != nil || status != http.StatusAccepted {
		return false // it is not the leader any more
	}
	eventually(t, "the role has moved", func() error {
		s, err := d.Status(t.Context())
		if err != nil {
			return err
		}
		if now, held := fleet.HolderOf(s, role); !held || now == holder {
			return fmt.Errorf("it is held by %q", now)
		}
		return nil
	})
	return true
}

// endSome ends a replica other than the first, by SIGKILL or SIGTERM in turns, and starts it again.
func (d *wiredDeployment) endSome(t *testing.T, round int) {
	t.Helper()
	r := d.Replica([]string{"b", "c", "d"}[rand.IntN(3)])
	if round%16 == 7 {
		if err := r.Kill(); err != nil {
			t.Fatal(err)
		}
	} else {
		d.terminate(t, r)
	}
	if err := r.Restart(); err != nil {
		t.Fatal(err)
	}
	d.await(t, "all roles to be held", fleet.Held(1))
}

// checkHeard fails the test unless the client has heard exactly what became of the Leases.
func (d *wiredDeployment) checkHeard(t *testing.T, truth *reigns, l *listener, roles []string) {
	t.Helper()
	var first toldSnapshot
	var heard []string
	var all []string
	eventually(t, "the client has heard of the last change", func() error {
		truth.catchUp(t, d.cluster)
		all = truth.ofAll(roles)
		first, heard, _ = l.heard()
		if len(heard) == 0 || heard[len(heard)-1] != all[len(all)-1] {
			return errors.New("it has not")
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.problems {
		t.Error(err)
	}
	if l.resets > 0 {
		t.Errorf("%d times the client was told to begin anew", l.resets)
	}
	begin := len(all) - len(heard)
	if begin < 0 || !slices.Equal(all[max(begin, 0):], heard) {
		t.Fatalf("the client has heard\n%q\nand the Leases were\n%q", heard, all)
	}
	// Before the first change, what the snapshot said.
	for _, role := range first.Roles {
		said := ""
		for _, one := range all[:begin] {
			if role.Leader != nil && one == role.String() {
				said = one
			}
		}
		if role.Leader != nil && said == "" {
			t.Errorf("the first snapshot says %q, which the Leases did not say before the first change that was told", role)
		}
	}
}
